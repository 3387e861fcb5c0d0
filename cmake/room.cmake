# One folder = one static library that links only what it names, so that a wrong include does not link.
#   ops_room(NAME SOURCES file... USES target... [PRIVATE_USES target...])
function(ops_room name)
  cmake_parse_arguments(R "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(ops_${name} STATIC ${R_SOURCES})
  target_include_directories(ops_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(ops_${name} PUBLIC ${R_USES} PRIVATE ${R_PRIVATE_USES} ops_warnings)
endfunction()

# A program: wiring only; its work lives in rooms. CXX linker because RocksDB and gRPC core are C++ inside.
#   ops_program(NAME SOURCES file... USES target...)
function(ops_program name)
  cmake_parse_arguments(P "" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  target_link_libraries(${name} PRIVATE ${P_USES} ops_warnings)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()
