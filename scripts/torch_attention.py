#!/usr/bin/env python3
"""cuDNN's attention through PyTorch, beside kernels_benchmark: 16,384 tokens of 2048 channels, causal, bf16.

Prints a line per head size and sequence: microseconds and TFLOP/s forward and backward, medians of calls that find a
foreign L2 cache. FLOPs are 2 B A S^2 H forward and 2.5 times that backward, whatever is executed.
Called by `./dev gpu bench`; needs PyTorch 2.5 or later with CUDA and cuDNN.
"""
import statistics

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

CHANNELS, TOKENS, CALLS = 2048, 16384, 11


def median_s(call):
    foreign = torch.empty(1 << 28, dtype=torch.uint8, device="cuda")
    seconds = []
    for _ in range(CALLS + 3):
        foreign.zero_()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(seconds[3:])


def main():
    print(f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}")
    for head_size in (64, 128):
        for sequence in (1024, 2048, 4096, 8192, 16384):
            shape = (TOKENS // sequence, CHANNELS // head_size, sequence, head_size)
            q, k, v, dout = (torch.randn(shape, device="cuda", dtype=torch.bfloat16) for _ in range(4))
            for x in (q, k, v):
                x.requires_grad_()
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                with torch.no_grad():
                    forward = median_s(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
                out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
                backward = median_s(lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True))
            flop = 2.0 * TOKENS * CHANNELS * sequence
            print(f"cuDNN, head {head_size}, causal, S {sequence}: forward {1e6 * forward:.0f} us,"
                  f" {flop / forward / 1e12:.0f} TFLOP/s; backward {1e6 * backward:.0f} us,"
                  f" {2.5 * flop / backward / 1e12:.0f} TFLOP/s")


if __name__ == "__main__":
    main()
