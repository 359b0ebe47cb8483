/* SPDX-License-Identifier: Apache-2.0
 *
 * path.c - compile a path; find the values of many paths in one pass over an event.
 *
 * A target may name a hundred values of an event of 256 KiB, and everybody waits while they are
 * looked for.  So all paths walk together: each step goes down one container, hence at any moment
 * every path that is still in the race stands at the step that is the depth.  What the walk carries
 * is a set of paths, one bit each; a key, an index or a star thins the set out, and where nothing
 * is left the reader skips to the end of the value.
 *
 *     {"detail": {"rows": [{"id": 7}], "id": 8}}     $.detail.id   $.detail.rows[*].id
 *
 *     detail  {both}   rows  {second}   [0]  {second}   id  -> the second gets 7
 *                      id    {first}                        -> the first gets 8
 *
 * A path that meets its beginning again (a repeated key) forgets what it had found: the later
 * member counts, as for most readers of JSON.  Behind a star there are many places to be at, and
 * there each member counts.
 *
 * Invariant: frame k holds paths whose first k steps lead into its container.
 * Memory:    slices of the event; arrays, and names with escapes, in the caller's arena; at most as
 *            many found values as the bytes allowed for arrays.
 */
#include "routing/path.h"

#include "core/check.h"
#include "core/json.h"

/* ---- the path itself ----------------------------------------------------------------------- */

static enum err refuse(struct err_why *why, struct slice text, struct slice rest, const char *what)
{
    return err_because(ERR_BAD_VALUE, why, "%s, at byte %zu of the path", what,
                       text.len - rest.len);
}

/* Does a name end here, or is this byte none of a name? */
static bool is_no_name(char byte)
{
    return (uint8_t)byte <= ' ' || byte == 0x7F || strchr(".[]*()'\"?@,", byte) != NULL;
}

/* What follows a dot. */
static enum err cut_name(struct slice text, struct slice *rest, struct path_step *step,
                         struct err_why *why)
{
    size_t len = 0;

    *rest = slice_from(*rest, 1);
    if (slice_has_prefix(*rest, SLICE("*"))) {
        step->kind = PATH_STAR;
        *rest = slice_from(*rest, 1);
        return ERR_OK;
    }
    while (len < rest->len && !is_no_name(rest->data[len])) {
        len++;
    }
    if (len == 0) {
        return refuse(why, text, *rest, "a name or * must follow a dot");
    }
    step->kind = PATH_NAME;
    step->name = slice_first(*rest, len);
    *rest = slice_from(*rest, len);
    return ERR_OK;
}

/* What stands in brackets. */
static enum err cut_index(struct slice text, struct slice *rest, struct path_step *step,
                          struct err_why *why)
{
    const size_t end = slice_find(*rest, ']');
    const struct slice inside = slice_first(slice_from(*rest, 1), end - 1);

    if (end == rest->len) {
        return refuse(why, text, *rest, "a bracket is not closed");
    }
    if (slice_eq(inside, SLICE("*"))) {
        step->kind = PATH_STAR;
    } else if (inside.len <= 9 && slice_to_u64(inside, &step->index)) {
        step->kind = PATH_INDEX;
    } else {
        return refuse(why, text, *rest,
                      "brackets hold an index such as [0], or [*]; names are joined by dots");
    }
    *rest = slice_from(*rest, end + 1);
    return ERR_OK;
}

enum err path_compile(struct slice text, struct arena *arena, struct json_path *path,
                      struct err_why *why)
{
    struct path_step steps[JSON_PATH_STEPS_MAX];
    struct path_step *kept;
    struct slice rest;
    size_t count = 0;

    if (text.len == 0 || text.len > JSON_PATH_BYTES_MAX) {
        return err_because(ERR_BAD_VALUE, why, "a path has 1 to %d bytes", JSON_PATH_BYTES_MAX);
    }
    if (text.data[0] != '$') {
        return err_because(ERR_BAD_VALUE, why, "a path begins with $, as in $.detail.id");
    }
    text = arena_copy(arena, text);
    for (rest = slice_from(text, 1); rest.len > 0; count++) {
        CHECK(count < JSON_PATH_STEPS_MAX);
        steps[count] = (struct path_step){.kind = PATH_NAME};
        if (rest.data[0] == '.') {
            TRY(cut_name(text, &rest, &steps[count], why));
        } else if (rest.data[0] == '[') {
            TRY(cut_index(text, &rest, &steps[count], why));
        } else {
            return refuse(why, text, rest, "a dot or a bracket must stand here");
        }
    }
    kept = ARENA_ARRAY(arena, struct path_step, count);
    if (count > 0) {
        memcpy(kept, steps, count * sizeof(steps[0]));
    }
    *path = (struct json_path){.steps = kept, .step_count = count};
    while (path->fixed_count < count && steps[path->fixed_count].kind != PATH_STAR) {
        path->fixed_count++;
    }
    return ERR_OK;
}

/* ---- sets of paths ------------------------------------------------------------------------- */

struct path_set {
    uint64_t bits[JSON_PATH_SET_MAX / 64];
};

static bool set_is_empty(struct path_set set)
{
    return (set.bits[0] | set.bits[1]) == 0;
}

static struct path_set set_and(struct path_set a, struct path_set b)
{
    return (struct path_set){{a.bits[0] & b.bits[0], a.bits[1] & b.bits[1]}};
}

static struct path_set set_without(struct path_set a, struct path_set b)
{
    return (struct path_set){{a.bits[0] & ~b.bits[0], a.bits[1] & ~b.bits[1]}};
}

static void set_add(struct path_set *set, size_t path)
{
    set->bits[path / 64] |= UINT64_C(1) << path % 64;
}

/* Take the next path out of the set. False: it is empty. */
static bool set_take(struct path_set *set, size_t *path)
{
    for (size_t word = 0; word < ARRAY_LEN(set->bits); word++) {
        if (set->bits[word] != 0) {
            *path = word * 64 + (size_t)__builtin_ctzll(set->bits[word]);
            set->bits[word] &= set->bits[word] - 1;
            return true;
        }
    }
    return false;
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* A container that some path leads into. */
struct frame {
    struct path_set going;  /* they go on inside */
    struct path_set ending; /* the container is what they look for */
    size_t start;           /* where it begins in the text */
    uint64_t index;         /* of the next element */
};

/* What a path with a star has reached. */
struct reached {
    struct slice text;
    struct reached *next;
};

struct finding {
    struct slice text; /* without a star */
    bool is_there;
    struct reached *first; /* with one */
    struct reached **next;
    size_t bytes;
};

struct walk {
    const struct json_path *paths;
    struct json_reader reader;
    struct json_token token;
    struct arena *arena;
    size_t bytes_left;
    struct finding findings[JSON_PATH_SET_MAX];
    /* by depth: paths that end there, whose next step is a star, that have met no star so far */
    struct path_set ends[JSON_PATH_STEPS_MAX + 1];
    struct path_set stars[JSON_PATH_STEPS_MAX + 1];
    struct path_set fixed[JSON_PATH_STEPS_MAX + 1];
    size_t depth;
    struct frame frames[JSON_PATH_STEPS_MAX];
};

static void sort_steps(struct walk *walk, size_t count, struct path_set *all)
{
    size_t depth_max = 0;

    for (size_t i = 0; i < count; i++) {
        depth_max = MAX_OF(depth_max, walk->paths[i].step_count);
    }
    for (size_t depth = 0; depth <= depth_max; depth++) {
        walk->ends[depth] = walk->stars[depth] = walk->fixed[depth] = (struct path_set){{0, 0}};
    }
    *all = (struct path_set){{0, 0}};
    for (size_t i = 0; i < count; i++) {
        const struct json_path *path = &walk->paths[i];

        set_add(all, i);
        set_add(&walk->ends[path->step_count], i);
        for (size_t depth = 0; depth <= path->fixed_count; depth++) {
            set_add(&walk->fixed[depth], i);
        }
        for (size_t depth = path->fixed_count; depth < path->step_count; depth++) {
            if (path->steps[depth].kind == PATH_STAR) {
                set_add(&walk->stars[depth], i);
            }
        }
        walk->findings[i] = (struct finding){.is_there = false};
    }
}

/* These paths stand at their beginning, maybe again: what they had found counts no more. */
static void begin_again(struct walk *walk, struct path_set set)
{
    size_t i;

    while (set_take(&set, &i)) {
        struct finding *finding = &walk->findings[i];
        const struct json_path *path = &walk->paths[i];

        walk->bytes_left += finding->bytes;
        *finding = (struct finding){.next = &finding->first};
        finding->is_there =
            path->fixed_count < path->step_count && walk->depth == path->fixed_count;
    }
}

static enum err reach(struct walk *walk, struct path_set set, struct slice text)
{
    size_t i;

    while (set_take(&set, &i)) {
        struct finding *finding = &walk->findings[i];
        struct reached *reached;

        if (walk->paths[i].fixed_count == walk->paths[i].step_count) {
            finding->text = text;
            finding->is_there = true;
            continue;
        }
        if (text.len + 1 > walk->bytes_left) {
            return ERR_TOO_LARGE;
        }
        walk->bytes_left -= text.len + 1;
        finding->bytes += text.len + 1;
        reached = ARENA_NEW(walk->arena, struct reached);
        reached->text = text;
        *finding->next = reached;
        finding->next = &reached->next;
    }
    return ERR_OK;
}

/* The value whose first token was just read, for the paths that lead to it. */
static enum err take_value(struct walk *walk, struct path_set set)
{
    struct path_set ending = set_and(set, walk->ends[walk->depth]);
    struct path_set going = set_without(set, ending);
    const bool is_container =
        walk->token.type == JSON_TYPE_OBJECT_BEGIN || walk->token.type == JSON_TYPE_ARRAY_BEGIN;
    struct slice text;

    begin_again(walk, set_and(set, walk->fixed[walk->depth]));
    if (is_container && !set_is_empty(going)) {
        walk->frames[walk->depth++] =
            (struct frame){.going = going,
                           .ending = ending,
                           .start = (size_t)(walk->token.raw.data - walk->reader.text.data)};
        return ERR_OK;
    }
    TRY(json_read_value(&walk->reader, &walk->token, &text));
    return reach(walk, ending, text);
}

/* The paths of the container that go on under this key, or at this element when it is NULL. */
static struct path_set follow(const struct walk *walk, const struct frame *frame,
                              const struct slice *key)
{
    const size_t depth = walk->depth - 1;
    struct path_set followed = set_and(frame->going, walk->stars[depth]);
    struct path_set others = set_without(frame->going, followed);
    size_t i;

    while (set_take(&others, &i)) {
        const struct path_step *step = &walk->paths[i].steps[depth];

        if (key != NULL ? step->kind == PATH_NAME && slice_eq(step->name, *key)
                        : step->kind == PATH_INDEX && step->index == frame->index) {
            set_add(&followed, i);
        }
    }
    return followed;
}

static enum err leave_container(struct walk *walk)
{
    const struct frame *frame = &walk->frames[--walk->depth];

    return reach(walk, frame->ending,
                 slice_from(slice_first(walk->reader.text, walk->reader.position), frame->start));
}

/* One member, one element, or the end of the innermost container. */
static enum err take_next(struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct path_set followed;
    struct slice skipped;

    switch (json_next(&walk->reader, &walk->token)) {
    case JSON_TYPE_OBJECT_END:
    case JSON_TYPE_ARRAY_END:
        return leave_container(walk);
    case JSON_TYPE_KEY: {
        const struct slice key = json_token_text(&walk->token, walk->arena);

        followed = follow(walk, frame, &key);
        (void)json_next(&walk->reader, &walk->token);
        break;
    }
    case JSON_TYPE_END:
    case JSON_TYPE_ERROR:
        return ERR_BAD_JSON;
    case JSON_TYPE_OBJECT_BEGIN:
    case JSON_TYPE_ARRAY_BEGIN:
    case JSON_TYPE_STRING:
    case JSON_TYPE_NUMBER:
    case JSON_TYPE_TRUE:
    case JSON_TYPE_FALSE:
    case JSON_TYPE_NULL:
    default:
        followed = follow(walk, frame, NULL);
        frame->index++;
        break;
    }
    return set_is_empty(followed) ? json_read_value(&walk->reader, &walk->token, &skipped)
                                  : take_value(walk, followed);
}

/* What was reached, as a JSON array. */
static struct slice join(struct walk *walk, const struct finding *finding)
{
    char *array = arena_alloc(walk->arena, finding->bytes + 2);
    size_t len = 0;

    array[len++] = '[';
    for (const struct reached *one = finding->first; one != NULL; one = one->next) {
        if (one != finding->first) {
            array[len++] = ',';
        }
        memcpy(array + len, one->text.data, one->text.len);
        len += one->text.len;
    }
    array[len++] = ']';
    return (struct slice){array, len};
}

enum err path_find(const struct json_path *paths, size_t count, struct slice json,
                   size_t arrays_bytes_max, struct arena *arena, struct slice *values)
{
    struct walk walk;
    struct path_set all;

    CHECK(count <= JSON_PATH_SET_MAX);
    walk.paths = paths;
    walk.arena = arena;
    walk.bytes_left = arrays_bytes_max;
    walk.depth = 0;
    sort_steps(&walk, count, &all);
    json_reader_init(&walk.reader, json, JSON_DEPTH_MAX);
    (void)json_next(&walk.reader, &walk.token);
    TRY(take_value(&walk, all));
    while (walk.depth > 0) {
        TRY(take_next(&walk));
    }
    if (json_next(&walk.reader, &walk.token) != JSON_TYPE_END) {
        return ERR_BAD_JSON;
    }
    for (size_t i = 0; i < count; i++) {
        const struct finding *finding = &walk.findings[i];

        values[i] = (struct slice){NULL, 0};
        if (finding->is_there) {
            values[i] =
                paths[i].fixed_count < paths[i].step_count ? join(&walk, finding) : finding->text;
        }
    }
    return ERR_OK;
}

/* ---- parameters ---------------------------------------------------------------------------- */

enum err path_parameter_compile(struct slice text, struct arena *arena,
                                struct path_parameter *parameter, struct err_why *why)
{
    struct json_path *path;

    *parameter = (struct path_parameter){.text = text};
    if (!slice_has_prefix(text, SLICE("$."))) {
        return ERR_OK;
    }
    path = ARENA_NEW(arena, struct json_path);
    TRY(path_compile(text, arena, path, why));
    parameter->path = path;
    return ERR_OK;
}

enum err path_parameter_fill(const struct path_parameter *parameter, struct slice event,
                             size_t bytes_max, struct arena *arena, struct slice *value)
{
    struct json_reader reader;
    struct json_token token;

    if (parameter->path == NULL) {
        *value = parameter->text;
        return ERR_OK;
    }
    TRY(path_find(parameter->path, 1, event, bytes_max, arena, value));
    if (value->data == NULL || slice_eq(*value, SLICE("null"))) {
        *value = (struct slice){NULL, 0};
        return ERR_OK;
    }
    json_reader_init(&reader, *value, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) == JSON_TYPE_STRING) {
        *value = json_token_text(&token, arena);
    }
    return ERR_OK;
}
