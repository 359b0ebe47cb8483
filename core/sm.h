/* SPDX-License-Identifier: Apache-2.0
 *
 * sm.h - state machines whose arrows are declared, and checked on every move.
 *
 * The table is the documentation: which states there are, which may follow which, and what holds of
 * the object while it is in one.  A move that has no arrow, or that arrives with its invariant
 * broken, is our own mistake and ends the process with the names of both states.
 *
 *     enum { IDLE, BUSY, DONE };
 *
 *     static const struct sm_state states[] = {
 *         [IDLE] = {"idle", SM_TO(BUSY), is_idle},
 *         [BUSY] = {"busy", SM_TO(IDLE) | SM_TO(DONE), is_busy},
 *         [DONE] = {"done", 0, NULL},
 *     };
 *     static const struct sm_machine machine = {"job", states, ARRAY_LEN(states)};
 *
 *     sm_start(&job->sm, &machine, IDLE, job);
 *     job->worker = worker;
 *     sm_move(&job->sm, BUSY, job);
 */
#pragma once

#include "core/base.h"
#include "core/check.h"

enum { SM_STATES_MAX = 32 };

/* The arrow to a state; or them together. */
#define SM_TO(state) (UINT32_C(1) << (state))

struct sm_state {
    const char *name;
    uint32_t next; /* SM_TO() of each state that may follow; 0: the end */
    /* What holds of the object in this state; NULL: nothing in particular. */
    bool (*holds)(const void *object);
};

struct sm_machine {
    const char *name;
    const struct sm_state *states;
    unsigned state_count;
};

struct sm {
    const struct sm_machine *machine;
    unsigned state;
};

/* The name of the state it is in. */
static inline const char *sm_name(const struct sm *sm)
{
    return sm->machine->states[sm->state].name;
}

/* Does the invariant of the present state hold?  Checked by each move for the state it enters; call
 * it wherever else a doubt pays. */
static inline void sm_check(const struct sm *sm, const void *object)
{
    const struct sm_state *state = &sm->machine->states[sm->state];
    char fact[128];

    if (state->holds != NULL && !state->holds(object)) {
        (void)snprintf(fact, sizeof(fact), "%s: what must hold in state %s", sm->machine->name,
                       state->name);
        check_failed(fact, __FILE__, __LINE__);
    }
}

/* Enter the first state. */
static inline void sm_start(struct sm *sm, const struct sm_machine *machine, unsigned state,
                            const void *object)
{
    CHECK(machine->state_count <= SM_STATES_MAX);
    CHECK(state < machine->state_count);
    *sm = (struct sm){.machine = machine, .state = state};
    sm_check(sm, object);
}

/* Take the arrow to `state`, after the object was made ready for it. */
static inline void sm_move(struct sm *sm, unsigned state, const void *object)
{
    char fact[128];

    CHECK(state < sm->machine->state_count);
    if ((sm->machine->states[sm->state].next & SM_TO(state)) == 0) {
        (void)snprintf(fact, sizeof(fact), "%s: an arrow from %s to %s", sm->machine->name,
                       sm_name(sm), sm->machine->states[state].name);
        check_failed(fact, __FILE__, __LINE__);
    }
    sm->state = state;
    sm_check(sm, object);
}
