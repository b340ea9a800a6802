# Unknown, masked, broken units; every verb's words and exit code.
for verb in start stop restart try-restart reset-failed is-active is-failed is-enabled enable disable status cat kill; do
  echo "-- $verb"; s $verb nope; code
done
s show nope -p Id,LoadState,ActiveState,SubState,MainPID,NRestarts,Result,UnitFileState,FragmentPath,LoadError,ExecStart,InvocationID; code
printf '[Service]\nExecStrt=/bin/true\n' | unit bad.service
s start bad; code
s show bad -p LoadState,ActiveState,LoadError
ln -s /dev/null "$units/mk.service"; s daemon-reload
s start mk; code
s show mk -p LoadState,UnitFileState,LoadError
s is-enabled mk; code
printf '[Service]\nExecStart=/bin/sleep 1000\n' | unit plain.service
s reset-failed plain; code
s try-restart plain; code
s stop plain; code
s is-enabled plain; code
s foo; code
s --foo start; code
s start; code
s show -p; code
s kill -s WRONG plain; code
journalctl --user -u nope; code
journalctl --user -q -u nope; code
