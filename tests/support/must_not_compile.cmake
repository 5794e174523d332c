# cmake -P: passes when `control` compiles after `header`, and `statement` in its place does not, for the expected reason
# (a regular expression over the compiler's messages). Run by the tests "must not compile: ..." of tests/CMakeLists.txt.
string(MD5 name "${statement}")
foreach(kind control statement)
  set(source ${folder}/${name}_${kind}.cpp)
  file(WRITE ${source}
    "#include \"${header}\"\nusing namespace dtcalc;\n[[maybe_unused]] void code() {\n  ${${kind}};\n}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LC_ALL=C ${compiler} -std=c++20 -fsyntax-only -w -I ${include} ${source}
                  RESULT_VARIABLE ${kind}_status OUTPUT_VARIABLE ${kind}_output ERROR_VARIABLE ${kind}_output)
endforeach()
if(NOT control_status EQUAL 0)
  message(FATAL_ERROR "the control must compile: ${control}\n${control_output}")
elseif(statement_status EQUAL 0)
  message(FATAL_ERROR "this must not compile: ${statement}")
elseif(NOT statement_output MATCHES "${reason}")
  message(FATAL_ERROR "another reason than /${reason}/: ${statement}\n${statement_output}")
endif()
