/* SPDX-License-Identifier: Apache-2.0
 *
 * api_tags.h - tags of rules and buses, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TagResource.html and its
 * neighbours.
 */
#pragma once

#include "gateway/api_call.h"

enum { API_TAGS_MAX = 50 };

extern const struct api_action api_tag_resource;
extern const struct api_action api_untag_resource;
extern const struct api_action api_list_tags;

/* One tag, {Key, Value}. */
extern const struct api_member api_tag_members[];

/* Set each of `list` ([{Key, Value}], may be NULL) in `tags` ({key: value}); returns `tags`. */
json_t *api_tags_put(json_t *tags, const json_t *list);
