#include "conednn.h"
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t memory_desc;  // an owned handle
#define DESC_REF(d) (d)
#else
typedef dnnl_memory_desc_t memory_desc;  // a plain struct
#define DESC_REF(d) (&(d))
#endif

// Debian's oneDNN is an OpenMP build; each of our threads asks for a team of one. Resolved at run time, because other
// builds (a system with oneDNN on TBB or sequential) carry no OpenMP.
extern void omp_set_num_threads(int) __attribute__((weak));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static int engine_failed = 1;

static void make_engine(void) {
  dnnl_set_primitive_cache_capacity(1024);
  engine_failed = dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success;
}

static int plain_desc(memory_desc *out, dnnl_data_type_t type, size_t rows, size_t columns, size_t row_stride,
                      size_t column_stride) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
  dnnl_dims_t strides = {(dnnl_dim_t)row_stride, (dnnl_dim_t)column_stride};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides) != dnnl_success;
#else
  return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides) != dnnl_success;
#endif
}

static int any_desc(memory_desc *out, dnnl_data_type_t type, size_t rows, size_t columns) {
  dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_tag(out, 2, dims, type, dnnl_format_tag_any) != dnnl_success;
#else
  return dnnl_memory_desc_init_by_tag(out, 2, dims, type, dnnl_format_tag_any) != dnnl_success;
#endif
}

static void drop_desc(memory_desc *d) {
#if DNNL_VERSION_MAJOR >= 3
  dnnl_memory_desc_destroy(*d);
#else
  (void)d;
#endif
}

static int matmul_desc(dnnl_primitive_desc_t *out, memory_desc *x, memory_desc *w, memory_desc *y) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(out, engine, *x, *w, NULL, *y, NULL) != dnnl_success;
#else
  dnnl_matmul_desc_t op;
  if (dnnl_matmul_desc_init(&op, x, w, NULL, y) != dnnl_success) return 1;
  return dnnl_primitive_desc_create(out, (const_dnnl_op_desc_t)&op, NULL, engine, NULL) != dnnl_success;
#endif
}

static size_t desc_size(memory_desc *d) { return dnnl_memory_desc_get_size(DESC_REF(*d)); }

static int copy_desc(memory_desc *out, dnnl_primitive_desc_t from) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_clone(out, dnnl_primitive_desc_query_md(from, dnnl_query_weights_md, 0)) != dnnl_success;
#else
  *out = *dnnl_primitive_desc_query_md(from, dnnl_query_weights_md, 0);
  return 0;
#endif
}

static int make_memory(dnnl_memory_t *out, memory_desc *d, void *data) {
  return dnnl_memory_create(out, DESC_REF(*d), engine, data) != dnnl_success;
}

// The packed layout of an [n, k] slice: what oneDNN likes best for LAYOUT_ROWS rows. Every other row count multiplies
// against that same layout.
enum { LAYOUT_ROWS = 128 };

static dnnl_data_type_t data_type(enum odn_type type) { return type == ODN_BF16 ? dnnl_bf16 : dnnl_f32; }
static size_t element_size(enum odn_type type) { return type == ODN_BF16 ? 2 : 4; }

static int layout(memory_desc *packed, enum odn_type type, size_t n, size_t k) {
  memory_desc x, w, y;
  if (plain_desc(&x, data_type(type), LAYOUT_ROWS, k, k, 1)) return 1;
  if (any_desc(&w, data_type(type), k, n)) return 1;
  if (plain_desc(&y, dnnl_f32, LAYOUT_ROWS, n, n, 1)) return 1;
  dnnl_primitive_desc_t pd;
  int failed = matmul_desc(&pd, &x, &w, &y);
  if (!failed) {
    failed = copy_desc(packed, pd);
    dnnl_primitive_desc_destroy(pd);
  }
  drop_desc(&x), drop_desc(&w), drop_desc(&y);
  return failed;
}

// ---- Per-thread state: a stream, and the products this thread has met ------------------------------------------------

typedef struct {
  enum odn_type type;
  size_t m, n, k, ldx, ldy;
  dnnl_primitive_t primitive;
  dnnl_memory_t x, w, y;
  int usable;  // 0: oneDNN has only its reference code for this row count against this layout
} product;

enum { SLOTS = 512, PROBES = 16 };

typedef struct {
  dnnl_stream_t stream;
  product slots[SLOTS];
} thread_state;

static _Thread_local thread_state *state;

static thread_state *thread_ready(void) {
  if (state) return state;
  pthread_once(&once, make_engine);
  if (engine_failed) return NULL;
  if (omp_set_num_threads) omp_set_num_threads(1);
  thread_state *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  if (dnnl_stream_create(&made->stream, engine, dnnl_stream_default_flags) != dnnl_success) {
    free(made);
    return NULL;
  }
  return state = made;
}

size_t odn_packed_size(enum odn_type type, size_t n, size_t k) {
  if (!thread_ready()) return 0;
  memory_desc packed;
  if (layout(&packed, type, n, k)) return 0;
  size_t size = desc_size(&packed);
  drop_desc(&packed);
  return size;
}

int odn_pack(enum odn_type type, size_t n, size_t k, const float *rows, void *packed) {
  thread_state *t = thread_ready();
  if (!t) return 1;
  memory_desc from, to;
  if (layout(&to, type, n, k) || plain_desc(&from, dnnl_f32, k, n, 1, k)) return 1;
  dnnl_memory_t source = NULL, target = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t reorder = NULL;
  int failed = make_memory(&source, &from, (void *)rows) || make_memory(&target, &to, packed);
  failed = failed ||
           dnnl_reorder_primitive_desc_create(&pd, DESC_REF(from), engine, DESC_REF(to), engine, NULL) != dnnl_success;
  failed = failed || dnnl_primitive_create(&reorder, pd) != dnnl_success;
  if (!failed) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
    failed = dnnl_primitive_execute(reorder, t->stream, 2, arguments) != dnnl_success;
    failed = failed || dnnl_stream_wait(t->stream) != dnnl_success;
  }
  if (reorder) dnnl_primitive_destroy(reorder);
  if (pd) dnnl_primitive_desc_destroy(pd);
  if (source) dnnl_memory_destroy(source);
  if (target) dnnl_memory_destroy(target);
  drop_desc(&from), drop_desc(&to);
  return failed;
}

static int make_product(product *p, enum odn_type type, size_t m, size_t n, size_t k, size_t ldx, size_t ldy) {
  memory_desc x, w, y;
  if (layout(&w, type, n, k) || plain_desc(&x, data_type(type), m, k, ldx, 1) || plain_desc(&y, dnnl_f32, m, n, ldy, 1))
    return 1;
  dnnl_primitive_desc_t pd = NULL;
  int failed = matmul_desc(&pd, &x, &w, &y);
  if (!failed) {
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    p->usable = strncmp(name, "ref", 3) != 0;
    failed = dnnl_primitive_create(&p->primitive, pd) != dnnl_success;
    dnnl_primitive_desc_destroy(pd);
  }
  failed = failed || make_memory(&p->x, &x, NULL) || make_memory(&p->w, &w, NULL) || make_memory(&p->y, &y, NULL);
  drop_desc(&x), drop_desc(&w), drop_desc(&y);
  p->type = type, p->m = m, p->n = n, p->k = k, p->ldx = ldx, p->ldy = ldy;
  return failed;
}

static void drop_product(product *p) {
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  if (p->x) dnnl_memory_destroy(p->x);
  if (p->w) dnnl_memory_destroy(p->w);
  if (p->y) dnnl_memory_destroy(p->y);
  memset(p, 0, sizeof *p);
}

static product *find_product(thread_state *t, enum odn_type type, size_t m, size_t n, size_t k, size_t ldx, size_t ldy) {
  size_t h = m * 0x9E3779B97F4A7C15u ^ n * 0xC2B2AE3D27D4EB4Fu ^ k * 0x165667B19E3779F9u ^ ldx * 31 ^ ldy * 131 ^ (size_t)type * 7919;
  h ^= h >> 29;
  for (size_t i = 0; i < PROBES; i++) {
    product *p = &t->slots[(h + i) % SLOTS];
    if (p->type == type && p->m == m && p->n == n && p->k == k && p->ldx == ldx && p->ldy == ldy) return p;
    if (p->m == 0) {
      if (make_product(p, type, m, n, k, ldx, ldy) == 0) return p;
      drop_product(p);
      return NULL;
    }
  }
  product *p = &t->slots[h % SLOTS];  // crowded: the newest wins
  drop_product(p);
  if (make_product(p, type, m, n, k, ldx, ldy) == 0) return p;
  drop_product(p);
  return NULL;
}

static int execute(thread_state *t, product *p, const void *x, const void *packed, float *y) {
  dnnl_memory_set_data_handle(p->x, (void *)x);
  dnnl_memory_set_data_handle(p->w, (void *)packed);
  dnnl_memory_set_data_handle(p->y, y);
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, p->x}, {DNNL_ARG_WEIGHTS, p->w}, {DNNL_ARG_DST, p->y}};
  if (dnnl_primitive_execute(p->primitive, t->stream, 3, arguments) != dnnl_success) return 1;
  return dnnl_stream_wait(t->stream) != dnnl_success;
}

// A row count that oneDNN can only do by reference code goes through a padded copy of LAYOUT_ROWS rows.
static int multiply_padded(thread_state *t, enum odn_type type, size_t m, size_t n, size_t k, const void *x, size_t ldx,
                           const void *packed, float *y, size_t ldy) {
  product *p = find_product(t, type, LAYOUT_ROWS, n, k, k, n);
  size_t size = element_size(type);
  float *out = p ? aligned_alloc(64, LAYOUT_ROWS * (n * sizeof(float) + k * size)) : NULL;
  if (!out) return 1;
  char *scratch = (char *)(out + LAYOUT_ROWS * n);
  int failed = 0;
  for (size_t row = 0; row < m && !failed; row += LAYOUT_ROWS) {
    size_t rows = m - row < LAYOUT_ROWS ? m - row : LAYOUT_ROWS;
    for (size_t r = 0; r < rows; r++) memcpy(scratch + r * k * size, (const char *)x + (row + r) * ldx * size, k * size);
    memset(scratch + rows * k * size, 0, (LAYOUT_ROWS - rows) * k * size);
    failed = execute(t, p, scratch, packed, out);
    for (size_t r = 0; r < rows; r++) memcpy(y + (row + r) * ldy, out + r * n, n * sizeof(float));
  }
  free(out);
  return failed;
}

int odn_multiply(enum odn_type type, size_t m, size_t n, size_t k, const void *x, size_t ldx, const void *packed,
                 float *y, size_t ldy) {
  if (m == 0 || n == 0) return 0;
  thread_state *t = thread_ready();
  if (!t) return 1;
  product *p = find_product(t, type, m, n, k, ldx, ldy);
  if (!p) return 1;
  return p->usable ? execute(t, p, x, packed, y) : multiply_padded(t, type, m, n, k, x, ldx, packed, y, ldy);
}
