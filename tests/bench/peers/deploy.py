# All hosts get the file first; then batch after batch is switched.
import os

from pyinfra import host, inventory
from pyinfra.operations import files, server

version, artifact = os.environ["BENCH_VERSION"], os.environ["BENCH_ARTIFACT"]
folder = f"{{ dir }}/revisions/{version}"
files.put(name="ship", src=artifact, dest=f"{folder}/web", mode="755", create_remote_dir=True)

names = sorted(one.name for one in inventory)
for first in range(0, len(names), {{ batch }}):
    server.shell(
        name=f"switch from {first}",
        commands=[
            f"ln -sfn {folder} {{ dir }}/next && mv -T {{ dir }}/next {{ dir }}/current",
            "systemctl restart {{ unit }}",
            "until curl -fso /dev/null http://127.0.0.1:{{ port }}/healthz; do sleep 0.05; done",
        ],
        _if=lambda first=first: host.name in names[first : first + {{ batch }}],
    )
