// Matrix products against packed weights, through oneDNN 2.x or 3.x.
#ifndef CONEDNN_H
#define CONEDNN_H
#include <stddef.h>
#include <stdint.h>
int odn_version(void);
#endif
