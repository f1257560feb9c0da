@echo off
rem A shortcut to `cji desk` in the start menu of this user. No administrator is needed. client.toml is in %APPDATA%\cji.
rem PowerShell reads the paths as variables: there may be any character in them, as in the name O'Brien.
set "CJI_FOLDER=%~dp0"
powershell -NoProfile -Command "$s = (New-Object -ComObject WScript.Shell).CreateShortcut((Join-Path ([Environment]::GetFolderPath('Programs')) 'Sealed records.lnk')); $s.TargetPath = $env:CJI_FOLDER + 'python\python.exe'; $s.Arguments = '-I -X utf8 -m cji_core.command desk --profile \"' + $env:APPDATA + '\cji\client.toml\"'; $s.WindowStyle = 7; $s.WorkingDirectory = [Environment]::GetFolderPath('MyDocuments'); $s.Save()"
