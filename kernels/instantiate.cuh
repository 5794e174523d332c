// The element types that every kernel is compiled for. A source ends with a macro of its own that declares one
// instantiation, handed to these lists.
#pragma once

/// F(T): functions of the element type alone.
#define DTCALC_FOR_TYPES(F) F(float) F(bf16) F(fp16)

/// F(T, G): functions that accumulate gradients of parameters in G as well.
#define DTCALC_FOR_GRADIENTS(F) F(float, float) F(bf16, float) F(fp16, float) F(bf16, bf16) F(fp16, fp16)
