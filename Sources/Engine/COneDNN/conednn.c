#include "conednn.h"
#include <oneapi/dnnl/dnnl.h>
int odn_version(void) { return dnnl_version()->major * 100 + dnnl_version()->minor; }
