// Tensor-core attention for heads of 96 in fp16.
#include "kernels/attention_flash_tensor.cuh"

namespace dtcalc::cuda {

DTCALC_FLASH_TENSOR(, fp16, 96)

}  // namespace dtcalc::cuda
