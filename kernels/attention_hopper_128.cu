// Attention for Hopper, heads of 128.
#include "kernels/attention_hopper_launch.cuh"

namespace dtcalc::cuda {

DTCALC_HOPPER(bf16, 128)
DTCALC_HOPPER(fp16, 128)

}  // namespace dtcalc::cuda
