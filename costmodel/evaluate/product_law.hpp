// The law of matrix products on a GPU: tiles, waves over the SMs, traffic through L2, and what is not hidden.
//
// Y (m x n) = A (m x k) B (k x n), `batch` times. The library is taken to pick its fastest tile. kernel_cost calls it.
#pragma once

#include <cstdint>

#include "costmodel/evaluate/device_rates.hpp"

namespace dtcalc {

struct ProductTime {
  double seconds;  ///< whole kernel
  double compute_s, memory_s;
};

/// `bytes` is what the operands hold, read and written once; `element_bytes` of A and B, which are read again when a
/// wave needs more of them than L2 holds; `per_flop` scales the time of arithmetic, for a precision other than that of
/// the rates. Needs rates.tiles > 0.
ProductTime product_time(const DeviceRates& rates, std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t batch,
                         double bytes, double element_bytes, double per_flop = 1);

/// Two parts of a kernel that run side by side; a share of the shorter one shows.
double side_by_side(double compute_s, double memory_s);

/// Fills the tiles of the device's architecture into `rates`.
void set_tiles(DeviceRates& rates, GpuArchitecture architecture);

}  // namespace dtcalc
