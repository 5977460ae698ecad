/* sound.c: how alike words are. */
#pragma once

#include "base/view.h"

/* Jaro-Winkler similarity, 0 to 1; case of ASCII letters does not count. Of each word, SOUND_BYTES_MAX are looked at. */
enum { SOUND_BYTES_MAX = 64 };
double catalog_sound(struct view a, struct view b);
/* catalog_sound(a, b) >= least, mostly without asking it. */
bool catalog_alike(struct view a, struct view b, double least);
