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
