# cmake -P: installs the build to a fresh prefix, builds and runs the project beside this file against it, and checks
# that an installed program finds the installed data.
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
must_run(${folder}/build/consumer)
if(NOT output STREQUAL "dtcalc 0.1.0: 1.5 GiB\n")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()
