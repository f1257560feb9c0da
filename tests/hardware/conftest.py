"""Tests on a real Azure confidential VM. Elsewhere nothing here is collected.

Prerequisites: an AMD SEV-SNP confidential VM of Azure, /dev/tpmrm0 readable (root or group tss), outbound HTTPS to the
attestation provider. With a Premium vault and a releasable key, also its id and thumbprint:

    CJI_HW_MAA_URL=https://sharedeus2.eus2.attest.azure.net \\
    CJI_HW_KEK_ID=https://VAULT.vault.azure.net/keys/NAME/VERSION CJI_HW_KEK_THUMBPRINT=... \\
    python -m pytest tests/hardware
"""

import os
from pathlib import Path

collect_ignore_glob = [] if Path("/dev/tpmrm0").exists() and "CJI_HW_MAA_URL" in os.environ else ["test_*.py"]
