# cmake -P: installs the build to a fresh prefix, builds and runs the project beside this file against it, and checks
# that a program installed there finds the installed data.
file(REMOVE_RECURSE ${folder})

function(must_run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGV}: ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

must_run(${CMAKE_COMMAND} --install ${build} --prefix ${folder}/prefix)
must_run(${CMAKE_COMMAND} -S ${consumer} -B ${folder}/build -G Ninja -D CMAKE_CXX_COMPILER=${compiler}
         -D CMAKE_PREFIX_PATH=${folder}/prefix -D CMAKE_BUILD_TYPE=Release)
must_run(${CMAKE_COMMAND} --build ${folder}/build)

# Beside the installed program, its data come first; elsewhere, the source tree it was built from.
file(COPY ${folder}/build/consumer DESTINATION ${folder}/prefix/bin)
unset(ENV{DTCALC_DATA_DIR})
must_run(${folder}/prefix/bin/consumer)
if(NOT output STREQUAL "dtcalc 0.1.0, 1.5 GiB, ${folder}/prefix/share/dtcalc\n")
  message(FATAL_ERROR "the installed program printed: ${output}")
endif()
foreach(data hardware/h200.json presets/models)
  if(NOT EXISTS ${folder}/prefix/share/dtcalc/${data})
    message(FATAL_ERROR "not installed: ${data}")
  endif()
endforeach()
