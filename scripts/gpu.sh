# The stages of `./dev gpu`, sourced by dev. Each builds what it needs in build/gpu, runs, keeps its output in
# build/gpu/STAGE.txt and leaves a record in docs/gpu (scripts/gpu_records.cmake), also when it fails.
# Every stage ends within 9 minutes on 16 cores and one GPU.

folder=build/gpu
dtcalc=$folder/cli/dtcalc

# What goes into the record: `note WORDS...`.
notes=$folder/notes.txt
note() { printf '%s\n' "$*" | tee -a "$notes"; }

# must_run NAME COMMAND...: runs it with its output in the stage's log; a failure is noted and fails the stage.
must_run() {
  local name=$1
  shift
  say "$name"
  if "$@"; then return 0; fi
  note "FAILED: $name"
  return 1
}

run_stage() {
  local stage=$1 result=passed begin=$SECONDS
  mkdir -p "$folder"
  : >"$notes"
  # Not under `set -e`: a failed step must not keep the record from being written.
  if ! (set +e; "stage_$stage") 2>&1 | tee "$folder/$stage.txt"; then result=failed; fi
  cmake -D mode=write -D "stage=$stage" -D "result=$result" -D "seconds=$((SECONDS - begin))" -D "notes=$PWD/$notes" \
    -D "commit=$(commit_id)" -D "machine=$(machine_line)" -P scripts/gpu_records.cmake
  say "$stage: $result, docs/gpu/$stage.json"
  [[ $result == passed ]]
}

commit_id() { git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown; }

machine_line() {
  local gpu processor
  gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
  processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
  printf '%s' "${gpu/, /, driver }, $(nvcc --version | sed -n 's/.*release \([0-9.]*\),.*/CUDA \1/p'), $processor," \
    " $(nproc) threads, $(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
}

make_targets() {
  cmake --preset cuda -B "$folder" -DDTCALC_GUI=OFF >"$folder/configure.txt" ||
    { cat "$folder/configure.txt"; return 1; }
  cmake --build "$folder" -j "$(jobs)" --target "$@"
}

# Built from nothing, and what the compilers warn about.
stage_build() {
  rm -rf "$folder/CMakeFiles" "$folder/CMakeCache.txt" "$folder"/{costmodel,kernels,engine,cli,tests,benchmarks}
  local begin=$SECONDS
  make_targets dtcalc dtcalc_kernels_tests dtcalc_engine_tests kernels_benchmark >"$folder/compiler.txt" 2>&1 ||
    { tail -n 60 "$folder/compiler.txt"; note "FAILED: compiling"; return 1; }
  grep -E 'warning:' "$folder/compiler.txt" | sort -u
  note "compiled in $((SECONDS - begin)) s with $(jobs) jobs, $(grep -cE 'warning:' "$folder/compiler.txt") warnings"
  must_run "what is here" "$dtcalc" doctor
}

# tests PROGRAM SPECIFICATION: runs Catch2 tests and notes its last line.
tests() {
  local log=$folder/tests.txt status=0
  say "$1 $2"
  "$folder/tests/$1" "$2" >"$log" 2>&1 || status=1
  ((status)) && tail -n 200 "$log"
  note "$1 $2: $(grep -E 'assertions|All tests passed' "$log" | tail -n 1)"
  grep -q '^skipped: ' "$log" && note "$1 $2: skipped: $(grep '^skipped: ' "$log" | sort -u | head -n 1)" && status=1
  return $status
}

# Kernels against the CPU in double, the engine against the CPU's, and 50 steps against PyTorch where it is there.
stage_correct() {
  make_targets dtcalc dtcalc_kernels_tests dtcalc_engine_tests || return 1
  local status=0
  tests dtcalc_kernels_tests '*' || status=1
  tests dtcalc_engine_tests 'cuda*' || status=1
  if python3 -c 'import torch' 2>/dev/null; then
    local runs=$PWD/$folder/torch_training
    must_run "50 steps of GPT-2 124M and of a Llama in PyTorch" python3 scripts/torch_training.py --size large "$runs" &&
      DTCALC_TORCH_TRAINING=$runs tests dtcalc_engine_tests 'cuda: training as PyTorch trains' || status=1
    grep '^training as PyTorch trains' "$folder/tests.txt" | while read -r line; do note "$line"; done
  else
    note "PyTorch is not here: compared with the committed runs of small shapes alone"
  fi
  return $status
}

# compute-sanitizer over the kernels' tests: memcheck over all, racecheck where blocks work together in shared memory.
stage_sanitize() {
  make_targets dtcalc_kernels_tests || return 1
  command -v compute-sanitizer >/dev/null || { note "FAILED: compute-sanitizer is not on PATH"; return 1; }
  local status=0 tool specification log=$folder/sanitizer.txt
  for tool in memcheck racecheck; do
    specification='*'
    [[ $tool == racecheck ]] && specification='*norm*,*loss*,*RoPE*,*softmax*,*AdamW*,*bias*,*masks*'
    say "$tool"
    timeout 240 compute-sanitizer --tool "$tool" --error-exitcode 1 "$folder/tests/dtcalc_kernels_tests" \
      "$specification" >"$log" 2>&1 || status=1
    grep -E '=========|assertions|All tests' "$log" | tail -n 30
    note "$tool of $specification: $(grep -E 'SUMMARY' "$log" | tail -n 1 | sed 's/^=* *//')"
  done
  return $status
}

# Kernels alone, and a training step beside compiled PyTorch in the same call.
stage_bench() {
  make_targets dtcalc kernels_benchmark || return 1
  local status=0 model batch line
  must_run "kernels" "$folder/benchmarks/kernels/kernels_benchmark" || status=1
  for model in gpt2-124m:64 gpt2-355m:32 gpt2-1.5b:16; do
    batch=${model#*:} model=${model%:*}
    must_run "$model, batch $batch" "$dtcalc" run train --model "$model" --device cuda:0 --markov --symbols 64 \
      --set training.micro_batch="$batch" --set model.vocabulary_size=50304 --steps 15 --evaluation-batches 0 --json \
      -o "$folder/train.json" || { status=1; continue; }
    line=$(cmake -D "file=$PWD/$folder/train.json" -D mode=train -P scripts/gpu_records.cmake 2>&1)
    note "$model, batch $batch: dtcalc $line"
    if python3 -c 'import torch' 2>/dev/null; then
      line=$(python3 scripts/torch_reference.py --model "$model" --batch "$batch" --steps 15 | tail -n 1)
      note "$model, batch $batch: $(sed -E 's/.*"version": "([^"]*)".*"tokens_per_s": ([0-9]+).*"peak_bytes": ([0-9]+).*/PyTorch \1 compiled \2 tokens\/s, \3 bytes at the peak/' <<<"$line")"
    else
      note "$model: PyTorch is not here"
    fi
  done
  return $status
}
