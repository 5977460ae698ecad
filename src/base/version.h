/* version: one place; the build sets it from VERSION and git. */
#pragma once

#ifndef POSTERN_VERSION
#define POSTERN_VERSION "0.1.0"
#endif
