@echo off
rem The command cji, with the Python beside it.
"%~dp0python\python.exe" -I -X utf8 -m cji_core.command %*
