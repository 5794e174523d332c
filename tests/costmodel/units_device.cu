// The units on a device: compiled by the test "units compile under nvcc".
#include "costmodel/units.hpp"

using namespace dtcalc;

static_assert(1_GiB == 1024_MiB);

__global__ void rates(const Bytes* bytes, const Seconds* times, BytesPerSecond* result, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) result[i] = bytes[i] * 2 / times[i];
}

Seconds ridge_time(FlopCount flop, FlopPerSecond rate) { return total(flop) / rate; }
