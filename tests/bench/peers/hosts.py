hosts = [
{%- for host in hosts %}
    ("{{ host.address }}", {"ssh_user": "root", "ssh_key": "{{ identity }}", "ssh_known_hosts_file": "{{ known_hosts }}"}),
{%- endfor %}
]
