#include "runtime/base/plant.h"

unsigned ftli_plant = FTLI_PLANT_NONE;
