/* Bugs planted on purpose, to show that the simulation finds such ones. Only the test build with FTLI_PLANTS has them; in every
 * other FTLI_PLANTED is 0, and nothing of them is compiled.
 *
 * What      Which one is planted is chosen at run time, so that one build serves for all. Where: grep FTLI_PLANTED.
 */
#ifndef FTLI_RUNTIME_BASE_PLANT_H
#define FTLI_RUNTIME_BASE_PLANT_H

enum {
    FTLI_PLANT_NONE = 0,
    FTLI_PLANT_LOST_WAKEUP = 1,          /* who stops with messages in hand does not come back for them */
    FTLI_PLANT_DOUBLE_PUSH = 2,          /* a drop that hangs on a pin is posted by the dropper, and by who unpins */
    FTLI_PLANT_FORGOTTEN_REDELIVERY = 3, /* the message whose receive failed is not put back */
    FTLI_PLANT_FORGOTTEN_LINK = 4,       /* of a parent's children one keeps the parent's reference */
    FTLI_PLANT_WRONG_EPOCH = 5,          /* a cascade's drops count for the drain that comes next */
    FTLI_PLANTS_END
};

#if defined FTLI_PLANTS
extern unsigned ftli_plant;
#define FTLI_PLANTED(bug) (ftli_plant == FTLI_PLANT_##bug)
#else
#define FTLI_PLANTED(bug) 0
#endif

#endif
