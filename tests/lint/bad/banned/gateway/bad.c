/* malloc() in a comment is fine, goto out; too,
 * and so is typedef struct */
typedef struct bad_thing bad_thing;
static void bad(struct bad_thing *thing)
{
    char *room = malloc(8);
    char *copy = strdup("free(this)"); /* a string is fine */
    thing->free(room);
    xfree(room);
    free(copy);
    if (time(NULL) > 0 || rand() > 0) {
        goto out;
    }
    if (memcmp(copy, room, 8) == 0) {
        goto fail;
    }
    printf("%s", "printf(");
    snprintf(copy, 8, "x");
    EVP_Cipher(thing, thing, thing, 1);
    system("true");
    assert(thing);
}
/* a function type may have a name */
typedef struct bad_thing *(*bad_thing_fn)(int);
