#include "actors/tracking/modules.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A note of the kind that holds a build id. */
static void read_note(struct ftli_module *module, const char *at, size_t bytes)
{
    while (bytes >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, at, sizeof note);
        size_t name = ((size_t)note.n_namesz + 3) / 4 * 4, description = ((size_t)note.n_descsz + 3) / 4 * 4;
        if (name > bytes - sizeof note || description > bytes - sizeof note - name)
            return;
        const char *text = at + sizeof note;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(text, "GNU", 4) == 0) {
            module->build_id_bytes = note.n_descsz < FTLI_BUILD_ID_MOST ? (unsigned)note.n_descsz : FTLI_BUILD_ID_MOST;
            memcpy(module->build_id, text + name, module->build_id_bytes);
            return;
        }
        at += sizeof note + name + description;
        bytes -= sizeof note + name + description;
    }
}

static void read_path(struct ftli_module *module, const char *name)
{
    if (name != NULL && name[0] != '\0') {
        (void)snprintf(module->path, sizeof module->path, "%s", name);
        return;
    }
    ssize_t n = readlink("/proc/self/exe", module->path, sizeof module->path - 1); /* the program has no name there */
    module->path[n > 0 ? n : 0] = '\0';
}

struct search {
    uintptr_t address; /* 0: all */
    int (*visit)(const struct ftli_module *, void *user);
    void *user;
};

static int look(struct dl_phdr_info *info, size_t size, void *argument)
{
    const struct search *search = argument;
    struct ftli_module module = {.base = info->dlpi_addr};
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0 || module.to != 0)
            continue;
        if (search->address != 0 && search->address - from >= part->p_memsz)
            continue;
        module.from = from;
        module.to = from + part->p_memsz;
        module.file_offset = part->p_offset;
    }
    if (module.to == 0)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum && module.build_id_bytes == 0; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            read_note(&module, (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                      info->dlpi_phdr[i].p_memsz);
    read_path(&module, info->dlpi_name);
    return search->visit(&module, search->user);
}

static int copy(const struct ftli_module *module, void *user)
{
    *(struct ftli_module *)user = *module;
    return 1;
}

bool ftli_module_of(uintptr_t address, struct ftli_module *out)
{
    struct search search = {address, copy, out};
    return address != 0 && dl_iterate_phdr(look, &search) != 0;
}

int ftli_modules_each(int (*visit)(const struct ftli_module *, void *user), void *user)
{
    struct search search = {0, visit, user};
    return dl_iterate_phdr(look, &search);
}

void ftli_module_text(uintptr_t return_address, char *text, size_t bytes)
{
    struct ftli_module module;
    uintptr_t call = return_address - 1; /* the instruction before may be its function's last */
    if (!ftli_module_of(call, &module)) {
        (void)snprintf(text, bytes, "0x%llx", (unsigned long long)return_address);
        return;
    }
    const char *slash = strrchr(module.path, '/');
    (void)snprintf(text, bytes, "%s+0x%llx", slash != NULL ? slash + 1 : module.path,
                   (unsigned long long)(call - module.base));
}
