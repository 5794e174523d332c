#include "kernels/attention_hopper.hpp"

namespace dtcalc::cuda {

const char* hopper_refusal(const AttentionShape& shape, const AttentionOptions& options, bool hopper) {
  if (!hopper) return "no device of compute capability 9.0, or built without sm_90a";
  if (shape.head_size != 64 && shape.head_size != 128) return "heads of 64 and 128 channels only";
  if (options.dropout > 0) return "dropout";
  if (options.softcap > 0) return "soft cap";
  if (options.alibi_slopes != nullptr) return "ALiBi";
  if (options.window > 0 && options.window < shape.keys) return "a window";
  if (options.scale <= 0) return "a scale that is not positive";
  if (shape.batch * shape.queries * shape.keys == 0) return "nothing to attend to";
  return nullptr;
}

HopperBackwardMemory hopper_backward_memory(const AttentionShape& shape) {
  constexpr std::int64_t enough = 128;  // blocks, for a device of 132 multiprocessors
  const std::int64_t visited = hopper_backward_queries(shape.head_size), heads = shape.batch * shape.heads;
  const std::int64_t kv_heads = shape.batch * shape.kv_heads, group = shape.heads / shape.kv_heads;
  HopperBackwardMemory m;
  m.tiles = (shape.queries + visited - 1) / visited;
  m.levels = (shape.keys + hopper_backward_keys - 1) / hopper_backward_keys;
  while (m.parts < group && (group % m.parts != 0 || m.levels * kv_heads * m.parts < enough)) ++m.parts;
  m.sums = heads * m.tiles * visited * shape.head_size;
  if (m.parts > 1) m.of_parts = m.parts * kv_heads * m.levels * hopper_backward_keys * shape.head_size;
  m.counts = heads * m.tiles;
  return m;
}

bool hopper_here() {
#ifdef DTCALC_SM90A
  int device = 0, major = 0, minor = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess && major == 9 &&
         minor == 0;
#else
  return false;
#endif
}

}  // namespace dtcalc::cuda
