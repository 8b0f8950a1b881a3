#include "inflate.h"
#include <dlfcn.h>
#include <limits.h>
#include <string.h>

/// `z_stream` of zlib.h, whose layout is the same in every zlib 1.x.
typedef struct {
  const unsigned char *next_in;
  unsigned avail_in;
  unsigned long total_in;
  unsigned char *next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char *message;
  void *state, *allocate, *release, *opaque;
  int data_type;
  unsigned long adler, reserved;
} zlib_stream;

enum { Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5, RAW = -15 };

static size_t part(size_t rest) { return rest < UINT_MAX / 2 ? rest : UINT_MAX / 2; }

int ck_inflate(const void *source, size_t count, void *out, size_t size) {
  void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return 1;
  int (*start)(zlib_stream *, int, const char *, int) =
      (int (*)(zlib_stream *, int, const char *, int))dlsym(library, "inflateInit2_");
  int (*step)(zlib_stream *, int) = (int (*)(zlib_stream *, int))dlsym(library, "inflate");
  int (*end)(zlib_stream *) = (int (*)(zlib_stream *))dlsym(library, "inflateEnd");
  zlib_stream stream;
  memset(&stream, 0, sizeof stream);
  if (!start || !step || !end || start(&stream, RAW, "1.2.11", (int)sizeof stream) != Z_OK) return 1;
  const unsigned char *input = source, *input_end = input + count;
  unsigned char *output = out, *output_end = output + size, spare;
  int status = Z_OK;
  stream.next_in = input;
  stream.next_out = output;
  while (status == Z_OK) {
    stream.avail_in = (unsigned)part((size_t)(input_end - stream.next_in));
    stream.avail_out = (unsigned)part((size_t)(output_end - stream.next_out));
    if (stream.avail_out == 0) {  // everything is out; the end mark may still follow
      stream.next_out = &spare;
      stream.avail_out = 1;
      status = step(&stream, 0);
      if (stream.avail_out == 0) status = Z_BUF_ERROR;  // more data than announced
      if (status == Z_OK && stream.next_in == input_end) status = Z_BUF_ERROR;
      stream.next_out = output_end;
      continue;
    }
    status = step(&stream, 0);
  }
  int done = status == Z_STREAM_END && stream.next_out == output_end;
  end(&stream);
  return done ? 0 : 2;
}
