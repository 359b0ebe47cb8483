/* SPDX-License-Identifier: Apache-2.0
 *
 * vfs_fault.c - see vfs_fault.h.
 *
 * Every file is the system's file with this layer's struct in front.  A tracked file also has a
 * copy of its flushed content and the list of writes and truncations since; a flush that succeeds
 * applies the list.  So an image is: the flushed copy, and of the list, in order, what the seed
 * lets through, sector by sector.  Sectors of one write surviving apart from each other is what
 * torn writes and re-ordering between two flushes look like afterwards.
 *
 * The layer offers version 1 of SQLite's file methods, without shared memory: the engine must work
 * alone, with its log's index on the heap, or it cannot open a log at all.
 *
 * Memory: tracked files are kept by path until reset, because SQLite closes and reopens.
 */
#include "tests/lib/vfs_fault.h"

#include <pthread.h>
#include <sqlite3.h>

#include "core/check.h"
#include "core/list.h"

enum { SECTOR_BYTES = 512, PATH_BYTES_MAX = 512 };

/* A write, or with data NULL a truncation to `offset`. */
struct change {
    struct list node;
    size_t offset;
    size_t len;
    unsigned char *data;
};

struct content {
    unsigned char *bytes;
    size_t len;
    size_t cap;
};

struct tracked {
    struct list node;
    char path[PATH_BYTES_MAX];
    bool was_synced;
    struct content flushed;
    struct list changes; /* since then */
};

struct fault_file {
    sqlite3_file base;
    struct tracked *tracked; /* NULL: not recorded */
    char name[PATH_BYTES_MAX];
    sqlite3_file *real; /* behind this struct */
};

static struct {
    pthread_mutex_t lock;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    /* failures */
    enum vfs_call call;
    char suffix[16];
    size_t nth;
    size_t times;
    int code;
    size_t seen;
    /* recording */
    bool is_recording;
    struct list files;
    vfs_fault_hook_fn hook;
    void *hook_context;
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    CHECK(pthread_mutex_lock(&fault.lock) == 0);
}

static void unlock(void)
{
    CHECK(pthread_mutex_unlock(&fault.lock) == 0);
}

/* ---- failures ------------------------------------------------------------------------------ */

void vfs_fault_arm(enum vfs_call call, const char *suffix, size_t nth, size_t times, int code)
{
    lock();
    CHECK(strlen(suffix) < sizeof(fault.suffix));
    fault.call = call;
    memcpy(fault.suffix, suffix, strlen(suffix) + 1);
    fault.nth = nth;
    fault.times = times;
    fault.code = code;
    fault.seen = 0;
    unlock();
}

size_t vfs_fault_seen(void)
{
    size_t seen;

    lock();
    seen = fault.seen;
    unlock();
    return seen;
}

/* The code with which this call must fail, or SQLITE_OK. */
static int judge(const struct fault_file *file, enum vfs_call call)
{
    const size_t name_len = strlen(file->name);
    const size_t suffix_len = strlen(fault.suffix);
    int code = SQLITE_OK;

    lock();
    if (fault.times > 0 && call == fault.call && name_len >= suffix_len &&
        strcmp(file->name + name_len - suffix_len, fault.suffix) == 0) {
        fault.seen++;
        if (fault.seen >= fault.nth && fault.seen < fault.nth + fault.times) {
            code = fault.code;
        }
    }
    unlock();
    return code;
}

/* ---- recording ----------------------------------------------------------------------------- */

static void change_free(struct change *change)
{
    list_remove(&change->node);
    xfree(change->data);
    xfree(change);
}

static void resize(struct content *content, size_t len)
{
    if (len > content->cap) {
        content->cap = MAX_OF(len, content->cap * 2);
        content->bytes = xrealloc(content->bytes, content->cap);
    }
    if (len > content->len) {
        memset(content->bytes + content->len, 0, len - content->len);
    }
    content->len = len;
}

static void apply(struct content *content, const struct change *change)
{
    if (change->data == NULL) {
        resize(content, change->offset);
        return;
    }
    if (change->offset + change->len > content->len) {
        resize(content, change->offset + change->len);
    }
    memcpy(content->bytes + change->offset, change->data, change->len);
}

static void note(struct fault_file *file, size_t offset, const void *data, size_t len)
{
    struct change *change;

    if (file->tracked == NULL) {
        return;
    }
    change = xcalloc(1, sizeof(*change));
    change->offset = offset;
    change->len = len;
    if (data != NULL) {
        change->data = xmalloc(len);
        memcpy(change->data, data, len);
    }
    lock();
    list_append(&file->tracked->changes, &change->node);
    unlock();
}

static void note_sync(struct fault_file *file)
{
    if (file->tracked == NULL) {
        return;
    }
    lock();
    LIST_FOREACH (node, &file->tracked->changes) {
        struct change *change = CONTAINER_OF(node, struct change, node);

        apply(&file->tracked->flushed, change);
        change_free(change);
    }
    file->tracked->was_synced = true;
    unlock();
}

static void run_hook(const struct fault_file *file)
{
    vfs_fault_hook_fn hook;
    void *context;

    lock();
    hook = file->tracked != NULL ? fault.hook : NULL;
    context = fault.hook_context;
    unlock();
    if (hook != NULL) {
        hook(context);
    }
}

static void load(struct tracked *tracked)
{
    FILE *file = fopen(tracked->path, "re");
    long len;

    if (file == NULL) {
        return;
    }
    CHECK(fseek(file, 0, SEEK_END) == 0);
    len = ftell(file);
    CHECK(len >= 0);
    rewind(file);
    resize(&tracked->flushed, (size_t)len);
    CHECK(fread(tracked->flushed.bytes, 1, tracked->flushed.len, file) == tracked->flushed.len);
    tracked->was_synced = true;
    (void)fclose(file);
}

static struct tracked *find(const char *path)
{
    LIST_FOREACH (node, &fault.files) {
        struct tracked *tracked = CONTAINER_OF(node, struct tracked, node);

        if (strcmp(tracked->path, path) == 0) {
            return tracked;
        }
    }
    return NULL;
}

static struct tracked *track(const char *path)
{
    struct tracked *tracked = NULL;

    lock();
    if (fault.is_recording) {
        tracked = find(path);
    }
    if (fault.is_recording && tracked == NULL) {
        tracked = xcalloc(1, sizeof(*tracked));
        CHECK(strlen(path) < sizeof(tracked->path));
        memcpy(tracked->path, path, strlen(path) + 1);
        list_init(&tracked->changes);
        load(tracked);
        list_append(&fault.files, &tracked->node);
    }
    unlock();
    return tracked;
}

static void untrack(struct tracked *tracked)
{
    LIST_FOREACH (node, &tracked->changes) {
        change_free(CONTAINER_OF(node, struct change, node));
    }
    list_remove(&tracked->node);
    xfree(tracked->flushed.bytes);
    xfree(tracked);
}

void vfs_fault_record(void)
{
    lock();
    fault.is_recording = true;
    unlock();
}

void vfs_fault_hook(vfs_fault_hook_fn hook, void *context)
{
    lock();
    fault.hook = hook;
    fault.hook_context = context;
    unlock();
}

void vfs_fault_reset(void)
{
    lock();
    fault.times = 0;
    fault.seen = 0;
    fault.hook = NULL;
    fault.is_recording = false;
    LIST_FOREACH (node, &fault.files) {
        untrack(CONTAINER_OF(node, struct tracked, node));
    }
    unlock();
}

/* ---- images -------------------------------------------------------------------------------- */

static bool survives(uint64_t *seed)
{
    if (*seed == 0) {
        return false;
    }
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (*seed & 1) != 0;
}

static void apply_some(struct content *content, const struct change *change, uint64_t *seed)
{
    struct change part = {.offset = change->offset};
    size_t done = 0;

    if (change->data == NULL) {
        if (survives(seed)) {
            apply(content, change);
        }
        return;
    }
    while (done < change->len) {
        part.offset = change->offset + done;
        part.len = MIN_OF(SECTOR_BYTES - part.offset % SECTOR_BYTES, change->len - done);
        part.data = change->data + done;
        if (survives(seed)) {
            apply(content, &part);
        }
        done += part.len;
    }
}

static void write_image(const struct tracked *tracked, const char *folder, uint64_t *seed)
{
    const char *name = strrchr(tracked->path, '/') + 1;
    char path[PATH_BYTES_MAX];
    struct content content = {.len = 0};
    FILE *file;

    resize(&content, tracked->flushed.len);
    if (content.len > 0) {
        memcpy(content.bytes, tracked->flushed.bytes, content.len);
    }
    LIST_FOREACH (node, &tracked->changes) {
        apply_some(&content, CONTAINER_OF(node, struct change, node), seed);
    }
    CHECK(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
    file = fopen(path, "we");
    CHECK(file != NULL);
    CHECK(fwrite(content.bytes, 1, content.len, file) == content.len);
    CHECK(fclose(file) == 0);
    xfree(content.bytes);
}

void vfs_fault_image(const char *folder, uint64_t seed)
{
    lock();
    LIST_FOREACH (node, &fault.files) {
        const struct tracked *tracked = CONTAINER_OF(node, struct tracked, node);

        if (tracked->was_synced) {
            write_image(tracked, folder, &seed);
        }
    }
    unlock();
}

/* ---- SQLite's methods ---------------------------------------------------------------------- */

static struct fault_file *file_of(sqlite3_file *base)
{
    return CONTAINER_OF(base, struct fault_file, base);
}

static int on_close(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xClose(real);
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    struct fault_file *file = file_of(base);
    const int code = judge(file, VFS_READ);

    return code != SQLITE_OK ? code : file->real->pMethods->xRead(file->real, out, len, offset);
}

static int on_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
    struct fault_file *file = file_of(base);
    int code = judge(file, VFS_WRITE);

    run_hook(file);
    if (code == SQLITE_OK) {
        code = file->real->pMethods->xWrite(file->real, data, len, offset);
    }
    if (code == SQLITE_OK) {
        note(file, (size_t)offset, data, (size_t)len);
    }
    return code;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct fault_file *file = file_of(base);
    int code = judge(file, VFS_TRUNCATE);

    run_hook(file);
    if (code == SQLITE_OK) {
        code = file->real->pMethods->xTruncate(file->real, size);
    }
    if (code == SQLITE_OK) {
        note(file, (size_t)size, NULL, 0);
    }
    return code;
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct fault_file *file = file_of(base);
    int code = judge(file, VFS_SYNC);

    run_hook(file);
    if (code == SQLITE_OK) {
        code = file->real->pMethods->xSync(file->real, flags);
    }
    if (code == SQLITE_OK) {
        note_sync(file);
    }
    return code;
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xFileSize(real, size);
}

static int on_lock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xLock(real, level);
}

static int on_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xUnlock(real, level);
}

static int on_check_reserved(sqlite3_file *base, int *result)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xCheckReservedLock(real, result);
}

static int on_control(sqlite3_file *base, int op, void *argument)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xFileControl(real, op, argument);
}

static int on_sector_size(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xSectorSize(real);
}

static int on_characteristics(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;

    return real->pMethods->xDeviceCharacteristics(real);
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_file_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
};

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                   int *out_flags)
{
    struct fault_file *file = file_of(base);
    int code;

    (void)vfs;
    *file = (struct fault_file){.real = (sqlite3_file *)(void *)(file + 1)};
    if (name != NULL) {
        CHECK(strlen(name) < sizeof(file->name));
        memcpy(file->name, name, strlen(name) + 1);
        file->tracked = track(name);
    }
    code = fault.real->xOpen(fault.real, name, file->real, flags, out_flags);
    file->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    struct tracked *tracked;

    (void)vfs;
    lock();
    tracked = find(name);
    if (tracked != NULL) {
        untrack(tracked);
    }
    unlock();
    return fault.real->xDelete(fault.real, name, sync_dir);
}

void vfs_fault_install(void)
{
    CHECK(fault.real == NULL);
    list_init(&fault.files);
    fault.real = sqlite3_vfs_find(NULL);
    CHECK(fault.real != NULL);
    fault.vfs = *fault.real;
    fault.vfs.iVersion = 2; /* no replacing of system calls */
    fault.vfs.zName = "weir-fault";
    fault.vfs.szOsFile = (int)sizeof(struct fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = on_open;
    fault.vfs.xDelete = on_delete;
    CHECK(sqlite3_vfs_register(&fault.vfs, 1) == SQLITE_OK);
}
