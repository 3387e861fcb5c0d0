# What a package holds: the programs, the unit, and pages, completions and a sample file that the programs write themselves.
set(pages ${PROJECT_BINARY_DIR}/pages)
add_custom_command(
  OUTPUT ${pages}/opsd.8 ${pages}/opsctl.1 ${pages}/opsd.yaml ${pages}/opsctl.bash ${pages}/_opsctl ${pages}/opsctl.fish
  COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}
  COMMAND env -i LC_ALL=C $<TARGET_FILE:opsd> config man > ${pages}/opsd.8
  COMMAND env -i LC_ALL=C $<TARGET_FILE:opsctl> help --man > ${pages}/opsctl.1
  COMMAND env -i LC_ALL=C HOME=/ $<TARGET_FILE:opsd> config sample > ${pages}/opsd.yaml
  COMMAND env -i LC_ALL=C $<TARGET_FILE:opsctl> completion bash > ${pages}/opsctl.bash
  COMMAND env -i LC_ALL=C $<TARGET_FILE:opsctl> completion zsh > ${pages}/_opsctl
  COMMAND env -i LC_ALL=C $<TARGET_FILE:opsctl> completion fish > ${pages}/opsctl.fish
  DEPENDS opsd opsctl)
add_custom_target(pages ALL DEPENDS ${pages}/opsd.8)
install(TARGETS opsd opsctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${pages}/opsd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${pages}/opsctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages}/opsd.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${pages}/opsctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME opsctl)
install(FILES ${pages}/_opsctl DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${pages}/opsctl.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/systemd/opsd.service DESTINATION lib/systemd/system)
