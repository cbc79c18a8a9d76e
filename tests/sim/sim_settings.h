/* Sizes for a simulated store, so small that little fills it, and drawn: a rule that holds for one size only is
 * broken by another. */
#ifndef SIM_SETTINGS_H
#define SIM_SETTINGS_H

#include "base/random.h"
#include "log/store.h"

void sim_settings_draw(struct store_config *, struct random *);
/* In a third of the worlds one in so many reads fails; 0: none does. */
uint64_t sim_settings_draw_failing(struct random *);

#endif
