/*-------------------------------------------------------------------------
 *
 * scenarios.h
 *      Histories with a name, played in every run of dynsim.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DYN_TESTS_SCENARIOS_H
#define DYN_TESTS_SCENARIOS_H

#include <stdbool.h>
#include <stdint.h>

uint32_t dyn_scenarios_count(void);
const char *dyn_scenarios_name(uint32_t index);

/* False with a text in `why` when it went wrong. */
bool dyn_scenarios_play(uint32_t index, bool verbose, char *why,
						uint32_t why_size);

#endif
