"""Peak memory of a training against that of a bare loop with the same model and batch; each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.frame import Line, reported
from benchmarks.photos import BATCH, SIZE, VIT_TINY, write_photos
from imgcls_lab.cpu import bf16_unit

BARE = """
import json, resource, sys
import torch
from benchmarks import peers
torch.set_num_threads(2)
model = peers.model_of(sys.argv[1], 4)
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
values, labels = torch.rand({batch}, 3, {size}, {size}), torch.zeros({batch}, dtype=torch.int64)
for _ in range(6):
    with torch.autocast("cpu", torch.bfloat16, enabled=sys.argv[2] == "bf16"):
        logits = model(pixel_values=values).logits
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
print(json.dumps(dict(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)))
"""
OURS = """
import json, resource, sys
from pathlib import Path
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
folder = Path(sys.argv[2])
config = TrainConfig(root=sys.argv[3], model_flavour=sys.argv[1], load_pretrained=False, image_size={size},
                     batch_size={batch}, eval_batch_size={batch}, epochs=2, lr=1e-4, cache="ram",
                     threads=2, precision=sys.argv[4])
train(config, folder)
print(json.dumps(dict(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)))
"""


def measure(folder: Path, quick: bool) -> list[Line]:
    root = write_photos(folder / "photos", 8 if quick else 32)
    model = folder / "vit-tiny"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(VIT_TINY))
    images = sum(1 for _ in root.rglob("*.jpg"))
    cache = images * round(SIZE * 8 / 7) ** 2 * 3
    lines = []
    for precision in ("fp32", "bf16") if bf16_unit() else ("fp32",):
        bare = _peak(BARE, str(model), precision)
        ours = _peak(OURS, str(model), str(folder / f"run-{precision}"), str(root), precision)
        lines += [
            Line(
                f"peak memory, ViT-tiny, {precision}: training / (bare loop + cache)", 1.15, ours / (bare + cache), ""
            ),
            reported(f"peak memory, ViT-tiny, {precision}, training", ours / 1e6, "MB", f"cache {cache / 1e6:.0f} MB"),
            reported(f"peak memory, ViT-tiny, {precision}, bare loop", bare / 1e6, "MB"),
        ]
    return lines


def _peak(program: str, *arguments: str) -> float:
    code = program.format(batch=BATCH, size=SIZE)
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=os.environ
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["peak"])
