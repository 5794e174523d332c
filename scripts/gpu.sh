# The stages of `./dev gpu`, sourced by dev. Each builds what it needs in build/gpu, runs, keeps its output in
# build/gpu/STAGE.txt and leaves a record in docs/gpu (scripts/gpu_records.cmake), also when it fails.
# Every stage ends within 9 minutes on 16 cores and one GPU.

folder=build/gpu
dtcalc=$folder/cli/dtcalc

# PyTorch's side of comparisons has none, and a kernel without it is another kernel.
no_dropout=(--set model.residual_dropout=0 --set model.attention_dropout=0 --set model.embedding_dropout=0)

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
  [[ $stage == build ]] || nvidia-smi -L >/dev/null || fail "nvidia-smi finds no GPU"
  # Not under `set -e`: a failed step must not keep the record from being written.
  if ! (set +e; "stage_$stage") 2>&1 | tee "$folder/$stage.txt"; then result=failed; fi
  cmake -D mode=write -D "stage=$stage" -D "result=$result" -D "seconds=$((SECONDS - begin))" -D "notes=$PWD/$notes" \
    -D "commit=$(commit_id)" -D "machine=$(machine_line)" -P scripts/gpu_records.cmake
  say "$stage: $result, docs/gpu/$stage.json"
  [[ $result == passed ]]
}

commit_id() { git describe --always --dirty --abbrev=12 2>/dev/null || echo "${DTCALC_COMMIT:-unknown}"; }

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
  grep '^skipped: ' "$log" | sort -u | while read -r line; do note "$1 $2: $line"; done
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

# Kernels alone, attention beside cuDNN, and training steps beside compiled PyTorch, in the same call.
stage_bench() {
  make_targets dtcalc kernels_benchmark || return 1
  local status=0 torch=no one model batch sequence vocabulary line
  must_run "kernels" "$folder/benchmarks/kernels/kernels_benchmark" || status=1
  if python3 -c 'import torch' 2>/dev/null; then
    torch=yes
    must_run "attention of cuDNN" python3 scripts/torch_attention.py || status=1
  else
    note "PyTorch is not here"
  fi
  for one in 'gpt2-124m 64 1024 50304' 'gpt2-355m 32 1024 50304' 'gpt2-1.5b 16 1024 50304' \
    'llama3.2-1b 4 4096 128256' 'llama3.2-1b 2 8192 128256'; do
    read -r model batch sequence vocabulary <<<"$one"
    must_run "$model, batch $batch" "$dtcalc" run train --model "$model" --device cuda:0 --markov --symbols 64 \
      --set training.micro_batch="$batch" --set training.sequence="$sequence" --set model.vocabulary_size="$vocabulary" \
      "${no_dropout[@]}" --steps 15 --evaluation-batches 0 --json -o "$folder/train.json" || { status=1; continue; }
    line=$(cmake -D "file=$PWD/$folder/train.json" -D mode=train -P scripts/gpu_records.cmake 2>&1)
    note "$model, batch $batch x $sequence: dtcalc $line"
    [[ $torch == yes ]] || continue
    line=$(python3 scripts/torch_reference.py --model "$model" --batch "$batch" --sequence "$sequence" --steps 15 | tail -n 1)
    note "$model, batch $batch x $sequence: $(sed -E 's/.*"version": "([^"]*)".*"tokens_per_s": ([0-9]+).*"peak_bytes": ([0-9]+).*/PyTorch \1 compiled \2 tokens\/s, \3 bytes at the peak/' <<<"$line")"
  done
  return $status
}

# Configurations of the comparison of prediction and measurement: two families, sequences of 512 to 8192, naive and flash
# attention, with and without recomputation. None of their products is in the grid that `measure` times.
configurations=(
  'gpt2-124m training.micro_batch=32'
  'gpt2-124m training.micro_batch=48 training.sequence=512'
  'gpt2-124m training.micro_batch=8 attention=naive'
  'gpt2-355m training.micro_batch=24 training.recompute=full'
  'gpt2-355m training.micro_batch=12 training.sequence=768'
  'gpt2-1.5b training.micro_batch=12'
  'tiny-llama model.layers=16 model.hidden_size=2304 model.heads=18 model.kv_heads=6 model.head_size=128 model.mlp_size=6400 model.vocabulary_size=32000 model.max_sequence=8192 training.micro_batch=6 training.sequence=2048'
  'tiny-llama model.layers=16 model.hidden_size=2304 model.heads=18 model.kv_heads=6 model.head_size=128 model.mlp_size=6400 model.vocabulary_size=32000 model.max_sequence=8192 training.micro_batch=3 training.sequence=4096 training.recompute=selective'
  'tiny-llama model.layers=12 model.hidden_size=1536 model.heads=24 model.kv_heads=8 model.head_size=64 model.mlp_size=4224 model.vocabulary_size=32000 model.max_sequence=8192 training.micro_batch=2 training.sequence=8192'
)

# Measures the GPU, then predicts and runs each configuration with that profile.
stage_validate() {
  make_targets dtcalc || return 1
  local profile=$folder/measured.json report=$folder/validate.json all=$folder/errors.txt status=0 number=0 one words
  must_run "measuring the GPU" "$dtcalc" measure --device cuda:0 -o "$profile" || return 1
  note "profile: $(sed -n 's/^ "notes": "\(.*\)",$/\1/p' "$profile")"
  : >"$all"
  for one in "${configurations[@]}"; do
    number=$((number + 1))
    read -ra words <<<"$one"
    say "$one"
    "$dtcalc" validate --model "${words[0]}" --hardware "$profile" --device cuda:0 "${no_dropout[@]}" \
      $(printf -- '--set %s ' "${words[@]:1}") --steps 5 --seconds 1 --json -o "$report" || (($? == 1)) ||
      { note "FAILED: $one"; status=1; continue; }
    cp "$report" "$folder/validate-$number.json"
    value() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*$/\1/p" "$report" | head -n 1; }
    note "$(awk -v p="$(value step_predicted_s)" -v m="$(value step_measured_s)" -v e="$(value step_error)" \
      -v g="$(value group_error)" -v name="$one" 'BEGIN { printf "%s: predicted %.2f ms, measured %.2f ms, %+.1f %%, groups %.1f %%", name, 1e3 * p, 1e3 * m, 100 * e, 100 * g }')"
    echo "$(value step_error) $(value group_error)" >>"$all"
  done
  note "$(awk '{ e = $1 < 0 ? -$1 : $1; sum += e; if (e > worst) worst = e; if ($2 > groups) groups = $2 }
    END { printf "%d configurations: step time %.1f %% off in the mean, %.1f %% at worst; sum of groups at worst %.1f %% of the step", NR, 100 * sum / NR, 100 * worst, 100 * groups }' "$all")"
  return $status
}
