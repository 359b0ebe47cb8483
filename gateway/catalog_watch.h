/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_watch.h - keeps the catalog in memory equal to the one in the store, whoever changes it.
 */
#pragma once

#include <stdatomic.h>

#include "core/list.h"
#include "core/mailbox.h"
#include "gateway/catalog.h"

struct catalog_watch;

enum { CATALOG_LOOK_MS = 250, CATALOG_STALE_MS = 3000 };

/* How old the catalog may be, for any thread. */
struct catalog_age {
    _Atomic uint64_t read_ms; /* steady clock: the catalog is as the store had it then, or later */
};

/* The store has not been read for CATALOG_STALE_MS: somebody may have lost a right meanwhile. */
bool catalog_age_is_stale(struct catalog_age *age, uint64_t steady_ms);

/* One who waits for a look. */
struct catalog_look {
    struct list node;
    void (*on_done)(struct catalog_look *look, enum err err); /* always later */
};

struct catalog_watch_options {
    struct ev_loop *loop;
    struct mailbox *mailbox; /* of that loop */
    struct store *store;
    struct catalog *catalog;
    struct catalog_age *age;
    /* Documents of the catalog are different now.  Runs before the looks that saw it are told. */
    void (*on_change)(void *context);
    void *context;
};

struct catalog_watch *catalog_watch_new(const struct catalog_watch_options *options);
/* Look every CATALOG_LOOK_MS, if the store is shared; nobody else changes one that is not. */
void catalog_watch_start(struct catalog_watch *watch);
/* Start no look any more; those who wait are told ERR_STOPPING, later. */
void catalog_watch_stop(struct catalog_watch *watch);
/* After the last mail of the store.  NULL is fine. */
void catalog_watch_destroy(struct catalog_watch *watch);

/* Have the catalog hold all that the store holds at this moment, or ERR_OK does not come. */
void catalog_watch_look(struct catalog_watch *watch, struct catalog_look *look);
/* The same, with a read of all documents. */
void catalog_watch_look_whole(struct catalog_watch *watch, struct catalog_look *look);
/* Between the two no look is under way or begins: a change is being put, and what a look saw before
 * it must not come after it.  To be called from on_done of a look. */
void catalog_watch_hold(struct catalog_watch *watch);
void catalog_watch_release(struct catalog_watch *watch);
