// Attention for Hopper, heads of 64.
#include "kernels/attention_hopper_launch.cuh"

namespace dtcalc::cuda {

DTCALC_HOPPER(bf16, 64)
DTCALC_HOPPER(fp16, 64)

}  // namespace dtcalc::cuda
