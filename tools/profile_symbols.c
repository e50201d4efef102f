#include "tools/profile_symbols.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if FETTLE_DW
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#endif

/* ---- what a profile gets besides ------------------------------------------------------------------------------------------ */

static bool make_room(void **at, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t larger = *room == 0 ? 64 : 2 * *room;
    void *moved = realloc(*at, larger * size);
    if (moved != NULL) {
        *at = moved;
        *room = larger;
    }
    return moved != NULL;
}

/* Texts that are ours: kept in the list of strings, so that they are written with the others. NULL: no memory. */
static const char *keep_text(struct ftli_profile *profile, const char *text)
{
    for (size_t i = profile->strings.count; i-- > profile->own_strings;)
        if (strcmp(profile->strings.at[i], text) == 0)
            return profile->strings.at[i];
    char *copy = strdup(text);
    if (copy == NULL ||
        !make_room((void **)&profile->strings.at, &profile->strings.room, profile->strings.count, sizeof(char *))) {
        free(copy);
        return NULL;
    }
    return profile->strings.at[profile->strings.count++] = copy;
}

static size_t function_of(struct ftli_profile *profile, const char *name, const char *file)
{
    size_t n = profile->functions.count;
    for (size_t i = profile->own_functions; i < n; i++)
        if (strcmp(profile->functions.at[i].name, name) == 0 && strcmp(profile->functions.at[i].file, file) == 0)
            return i;
    const char *name_kept = keep_text(profile, name), *file_kept = keep_text(profile, file);
    if (name_kept == NULL || file_kept == NULL ||
        !make_room((void **)&profile->functions.at, &profile->functions.room, n, sizeof *profile->functions.at))
        return FTLI_PROFILE_NONE;
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++)
        last = profile->functions.at[i].id > last ? profile->functions.at[i].id : last;
    profile->functions.at[n] = (struct ftli_profile_function){last + 1, name_kept, file_kept};
    return profile->functions.count++;
}

bool ftli_profile_add_line(struct ftli_profile *profile, struct ftli_profile_location *location, const char *function,
                           const char *file, uint64_t line)
{
    size_t place = function_of(profile, function, file);
    if (place == FTLI_PROFILE_NONE ||
        !make_room((void **)&profile->lines.at, &profile->lines.room, profile->lines.count, sizeof *profile->lines.at))
        return false;
    if (location->lines == 0)
        location->first_line = profile->lines.count;
    profile->lines.at[profile->lines.count++] = (struct ftli_profile_line){place, line};
    location->lines++;
    return true;
}

#if FETTLE_DW
/* ---- one file ----------------------------------------------------------------------------------------------------------- */

struct file {
    Dwfl *session;
    Dwfl_Module *module;
};

/* What an address of the process is more than the file's: from the part that the mapping shows. */
static bool find_base(const char *path, const struct ftli_profile_mapping *mapping, uint64_t *base)
{
    bool found = false;
    size_t count = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    (void)elf_version(EV_CURRENT);
    Elf *elf = file < 0 ? NULL : elf_begin(file, ELF_C_READ, NULL);
    if (elf != NULL && elf_getphdrnum(elf, &count) == 0) {
        for (size_t i = 0; i < count && !found; i++) {
            GElf_Phdr part;
            if (gelf_getphdr(elf, (int)i, &part) == NULL || part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0)
                continue;
            uint64_t first = part.p_offset & ~UINT64_C(0xfff);
            found = mapping->offset >= first && mapping->offset < part.p_offset + part.p_filesz;
            *base = mapping->start - mapping->offset + part.p_offset - part.p_vaddr;
        }
    }
    if (elf != NULL)
        (void)elf_end(elf);
    if (file >= 0)
        (void)close(file);
    return found;
}

static bool is_same_build(Dwfl_Module *module, const char *build_id)
{
    const unsigned char *bytes;
    GElf_Addr where;
    char text[2 * 64 + 1] = "";
    int n = dwfl_module_build_id(module, &bytes, &where);
    for (int i = 0; i < n && i < 64; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return *build_id == '\0' || strcmp(text, build_id) == 0;
}

static const char *open_file(const struct ftli_profile_mapping *mapping, struct file *out)
{
    static char *no_path; /* of debug files: where they usually are */
    static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                             .find_debuginfo = dwfl_standard_find_debuginfo,
                                             .section_address = dwfl_offline_section_address,
                                             .debuginfo_path = &no_path};
    uint64_t base = 0;
    GElf_Addr bias;
    if (access(mapping->path, R_OK) != 0)
        return "cannot be read";
    if (!find_base(mapping->path, mapping, &base))
        return "is not the file that was mapped";
    out->session = dwfl_begin(&callbacks);
    if (out->session == NULL)
        return "libdw has no memory";
    dwfl_report_begin(out->session);
    out->module = dwfl_report_elf(out->session, mapping->path, mapping->path, -1, base, true);
    (void)dwfl_report_end(out->session, NULL, NULL);
    if (out->module == NULL || dwfl_module_getelf(out->module, &bias) == NULL)
        return "is no file that libdw can read";
    return is_same_build(out->module, mapping->build_id) ? NULL : "has changed since: its build id is another one";
}

/* The functions that the compiler put into one another, the innermost first. Their names; how many, 0: it is not known. */
static bool add_inlined(struct ftli_profile *profile, struct ftli_profile_location *location, Dwarf_Die *scopes,
                        int count, const char *file, uint64_t line)
{
    for (int i = 0; i < count; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        const char *name = dwarf_diename(&scopes[i]);
        if (!ftli_profile_add_line(profile, location, name != NULL ? name : "?", file, line))
            return false;
        if (tag == DW_TAG_subprogram)
            break;
        Dwarf_Attribute attribute;
        Dwarf_Word word = 0;
        Dwarf_Files *files = NULL;
        Dwarf_Die unit;
        size_t file_count;
        if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_line, &attribute), &word) == 0)
            line = word;
        if (dwarf_formudata(dwarf_attr(&scopes[i], DW_AT_call_file, &attribute), &word) == 0 &&
            dwarf_diecu(&scopes[i], &unit, NULL, NULL) != NULL && dwarf_getsrcfiles(&unit, &files, &file_count) == 0 &&
            word < file_count)
            file = dwarf_filesrc(files, word, NULL, NULL);
    }
    return true;
}

static bool name_address(struct ftli_profile *profile, struct ftli_profile_location *location, Dwfl_Module *module)
{
    Dwarf_Addr bias = 0;
    int line = 0;
    Dwarf_Die *unit = dwfl_module_addrdie(module, location->address, &bias), *scopes = NULL, *around = NULL;
    Dwfl_Line *source = dwfl_module_getsrc(module, location->address);
    const char *file = source != NULL ? dwfl_lineinfo(source, NULL, &line, NULL, NULL, NULL) : NULL;
    bool good = true;
    /* The scopes of an address end at the innermost inlined function; those around that one follow from it. */
    if (unit != NULL && dwarf_getscopes(unit, location->address - bias, &scopes) > 0) {
        int count = dwarf_getscopes_die(&scopes[0], &around);
        good = add_inlined(profile, location, around, count, file != NULL ? file : "", (uint64_t)line);
    }
    free(around);
    free(scopes);
    const char *symbol = dwfl_module_addrname(module, location->address);
    if (good && location->lines == 0 && symbol != NULL) /* without debug information: what the file exports */
        good = ftli_profile_add_line(profile, location, symbol, file != NULL ? file : "", (uint64_t)line);
    return good;
}

static bool name_mapping(struct ftli_profile *profile, size_t mapping, FILE *complaints,
                         struct ftli_profile_symbolised *out)
{
    struct file file = {NULL, NULL};
    const char *why = NULL;
    bool good = true;
    for (size_t i = 0; i < profile->locations.count && good; i++) {
        struct ftli_profile_location *location = &profile->locations.at[i];
        if (location->mapping != mapping || location->lines != 0)
            continue;
        out->addresses++;
        if (file.session == NULL && why == NULL) {
            why = open_file(&profile->mappings.at[mapping], &file);
            if (why != NULL && complaints != NULL)
                fprintf(complaints, "%s: %s; its addresses stay addresses\n", profile->mappings.at[mapping].path, why);
        }
        if (why == NULL)
            good = name_address(profile, location, file.module);
        out->named += location->lines != 0;
    }
    if (file.session != NULL)
        dwfl_end(file.session);
    return good;
}
#else
static bool name_mapping(struct ftli_profile *profile, size_t mapping, FILE *complaints,
                         struct ftli_profile_symbolised *out)
{
    for (size_t i = 0; i < profile->locations.count; i++)
        out->addresses += profile->locations.at[i].mapping == mapping && profile->locations.at[i].lines == 0;
    if (complaints != NULL && out->addresses != 0 && mapping == 0)
        fputs("this build has no libdw: addresses stay addresses\n", complaints);
    return true;
}
#endif

bool ftli_profile_symbolise(struct ftli_profile *profile, FILE *complaints, struct ftli_profile_symbolised *out)
{
    *out = (struct ftli_profile_symbolised){0};
    for (size_t i = 0; i < profile->mappings.count; i++)
        if (!name_mapping(profile, i, complaints, out))
            return false;
    return true;
}
