/* SPDX-License-Identifier: Apache-2.0
 *
 * data_plane.c - the table of paths of the data listener.
 */
#include "gateway/data_plane.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/api.h"
#include "gateway/forward.h"
#include "gateway/oauth.h"

struct route {
    struct slice path;
    enum err (*check_head)(struct ingest *ingest, struct request *request, size_t *body_max);
    void (*handle)(struct ingest *ingest, struct request *request);
};

static const struct route routes[] = {
    {SLICE_INIT("/"), api_check_head, api_handle},
    {SLICE_INIT("/events"), forward_check_head, forward_handle},
    {SLICE_INIT("/oauth/token"), oauth_check_head, oauth_handle},
};

static const struct route *route_of(const struct request *request)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (slice_eq(request->path, routes[i].path)) {
            return &routes[i];
        }
    }
    return NULL;
}

/* What is asked of every path, before its own checks. */
static enum err check_common(const struct ingest *ingest, const struct request *request)
{
    if (!ingest_has_name(ingest, request->authority)) {
        return ERR_MISDIRECTED;
    }
    if (route_of(request) == NULL) {
        return ERR_NOT_FOUND;
    }
    return ingest_check_store(ingest);
}

static enum err on_head(void *context, struct request *request, size_t *body_max)
{
    struct ingest *ingest = context;
    const enum err err = check_common(ingest, request);

    if (err != ERR_OK) {
        ingest_count_refused(ingest, err);
        return err;
    }
    return route_of(request)->check_head(ingest, request, body_max);
}

static void on_request(void *context, struct request *request)
{
    struct ingest *ingest = context;
    const struct route *route = route_of(request);

    CHECK(route != NULL);
    ingest_note_request(ingest, request);
    route->handle(ingest, request);
}

struct request_handler data_plane_handler(struct ingest *ingest)
{
    return (struct request_handler){
        .on_head = on_head,
        .on_request = on_request,
        .context = ingest,
    };
}
