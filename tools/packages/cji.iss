; Inno Setup 6: an installer of the zip's contents for one user, without an administrator.
;   iscc /DVersion=0.2.0 /DFolder=C:\build\cji "/Sagency=signtool sign /n AGENCY /fd sha256 /tr http://timestamp.agency.example /td sha256 $f" cji.iss
[Setup]
AppId={{6A0F6B5E-6C8B-4E0C-9C1B-6C5B0F2A7D11}
AppName=cji
AppVersion={#Version}
DefaultDirName={localappdata}\Programs\cji
DisableProgramGroupPage=yes
PrivilegesRequired=lowest
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
OutputBaseFilename=cji-{#Version}-setup
SignTool=agency
SignedUninstaller=yes

[Files]
Source: "{#Folder}\*"; DestDir: "{app}"; Flags: recursesubdirs ignoreversion

[Icons]
Name: "{userprograms}\Sealed records"; Filename: "{app}\python\python.exe"; Parameters: "-I -X utf8 -m cji_core.command desk --profile ""{userappdata}\cji\client.toml"""; Flags: runminimized; WorkingDir: "{userdocs}"
