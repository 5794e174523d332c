// Tensor-core attention for heads of 128 in bf16.
#include "kernels/attention_flash_tensor.cuh"

namespace dtcalc::cuda {

DTCALC_FLASH_TENSOR(, bf16, 128)

}  // namespace dtcalc::cuda
