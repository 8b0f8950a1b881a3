#ifndef CSHIM_H
#define CSHIM_H
#include <lua.h>
#endif
