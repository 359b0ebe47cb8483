/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_command.c - a command as the bytes of its call, and a script by its digest.
 *
 * hiredis formats; lengths are checked before, so that neither its `int` nor our queue overflows.
 * The bytes stay with the call until its answer, because a call may have to be sent again: to
 * another node, or to a Redis that did not know the script.
 */
#include <hiredis/hiredis.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/check.h"
#include "storage/redis_internal.h"

enum { WORDS_ON_STACK = 64, SHA1_BYTES = 20, SCRIPT_WORDS = 3, ARG_OVERHEAD = 32 };

void redis_script_init(struct redis_script *script, const char *name, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA1_BYTES];
    size_t len = 0;

    CHECK(EVP_Q_digest(NULL, "SHA1", NULL, text.data, text.len, digest, &len) == 1);
    CHECK(len == SHA1_BYTES);
    *script = (struct redis_script){.name = name, .text = text};
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        script->sha[2 * i] = digits[digest[i] >> 4];
        script->sha[2 * i + 1] = digits[digest[i] & 15];
    }
}

/* The words of a command, in the two arrays that hiredis takes. */
struct words {
    const char **data;
    size_t *lens;
    size_t count;
    size_t total_len;
    bool is_too_large;
};

static void add_word(struct words *words, struct slice word)
{
    if (word.len > REDIS_ARG_BYTES_MAX) {
        words->is_too_large = true;
        return;
    }
    words->total_len += word.len + ARG_OVERHEAD;
    words->data[words->count] = word.data != NULL ? word.data : "";
    words->lens[words->count++] = word.len;
}

static void add_words(struct words *words, const struct slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_word(words, list[i]);
    }
}

static void collect(struct words *words, const struct redis_command *command,
                    const char *key_count_text)
{
    if (command->script != NULL) {
        add_word(words, SLICE("EVALSHA"));
        add_word(words, slice_of(command->script->sha));
        add_word(words, slice_of(key_count_text));
        add_words(words, command->keys, command->key_count);
    }
    add_words(words, command->args, command->arg_count);
}

static void set_call(struct redis_call *call, const struct redis_command *command)
{
    struct slice slot_key = command->slot_key;

    if (slot_key.len == 0 && command->key_count > 0) {
        slot_key = command->keys[0];
    }
    list_init(&call->node);
    call->bytes = NULL;
    call->len = 0;
    call->deadline_ms = 0;
    call->script = command->script;
    call->has_slot = slot_key.len > 0;
    call->slot = call->has_slot ? redis_cluster_slot(slot_key) : 0;
    call->hop_count = 0;
    call->is_asking = false;
    call->was_taught = false;
    call->was_elsewhere = false;
    call->is_own = false;
    call->err = ERR_OK;
}

enum err redis_command_format(const struct redis_command *command, struct redis_call *call)
{
    const char *data_few[WORDS_ON_STACK];
    size_t lens_few[WORDS_ON_STACK];
    struct words words = {.data = data_few, .lens = lens_few};
    char key_count_text[24];
    size_t count;

    CHECK(call->on_reply != NULL);
    CHECK(command->script != NULL || command->key_count == 0);
    CHECK(command->script != NULL || command->arg_count > 0);
    set_call(call, command);
    if (command->key_count > REDIS_COMMAND_ARGS_MAX ||
        command->arg_count > REDIS_COMMAND_ARGS_MAX) {
        return ERR_TOO_LARGE;
    }
    count = SCRIPT_WORDS + command->key_count + command->arg_count;
    if (count > WORDS_ON_STACK) {
        words.data = xcalloc(count, sizeof(*words.data));
        words.lens = xcalloc(count, sizeof(*words.lens));
    }
    (void)snprintf(key_count_text, sizeof(key_count_text), "%zu", command->key_count);
    collect(&words, command, key_count_text);
    if (!words.is_too_large && words.total_len <= REDIS_COMMAND_BYTES_MAX) {
        const int len =
            redisFormatCommandArgv(&call->bytes, (int)words.count, words.data, words.lens);

        CHECK(len > 0);
        call->len = (size_t)len;
    }
    if (words.data != data_few) {
        xfree(words.data);
        xfree(words.lens);
    }
    return call->bytes != NULL ? ERR_OK : ERR_TOO_LARGE;
}

void redis_command_forget(struct redis_call *call)
{
    if (call->bytes != NULL && call->is_own) {
        OPENSSL_cleanse(call->bytes, call->len); /* it may have been AUTH */
    }
    xfree(call->bytes);
    call->bytes = NULL;
}
