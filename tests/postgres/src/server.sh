# server.sh BIN DIRECTORY PORT SETTINGS [PROGRAM THAT BECOMES ANOTHER USER…]
# Runs PostgreSQL until its input ends, however the test ends; then nothing of it is left.
set -eu
bin=$1 directory=$2 port=$3 settings=$4
shift 4
"$@" "$bin/initdb" --pgdata "$directory/data" --username postgres --auth trust --encoding UTF8 --locale C --no-sync \
  >/dev/null
for file in "$directory"/files/*; do
  if [ -e "$file" ]; then "$@" install -m 600 "$file" "$directory/data/"; fi
done
start() {
  options=
  for setting in $settings; do options="$options -c $setting"; done
  "$@" "$bin/postgres" -D "$directory/data" -p "$port" -k "$directory" -h 127.0.0.1 -c max_connections=400 \
    -c shared_buffers=64MB -c fsync=on $options </dev/null 2>&1 &
  pid=$!
}
start "$@"
while read -r command; do
  case $command in
    crash) kill -QUIT "$pid"; wait "$pid" || true; echo "crashed" ;;
    start) start "$@" ;;
  esac
done
kill -QUIT "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
rm -rf "$directory"
