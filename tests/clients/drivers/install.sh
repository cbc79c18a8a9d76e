#!/bin/sh
# Install the clients of other languages than Python, and build their drivers: install.sh DIR.
#
# From Maven Central, npm and the Go proxy, of fixed versions. What is there already for the same inputs is
# left alone, so that a second run needs no network. A part that fails says so; the others go on.
set -u
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
to=$(cd "$1" && pwd)
go_version=1.26.0
failed=0

# part NAME INPUT...: run install_NAME unless it succeeded with these inputs before.
part() {
    name=$1
    shift
    stamp=$to/$name.installed
    wanted=$(cat "$@" "$0" | cksum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return
    echo "installing the clients of $name" >&2
    if "install_$name" >"$to/$name.log" 2>&1; then
        echo "$wanted" >"$stamp"
    else
        tail -5 "$to/$name.log" >&2
        echo "$0: $name: not installed; $to/$name.log tells more" >&2
        failed=1
    fi
}

install_java() {
    for version in 4.1.0 2.4.0; do
        mvn -q -B -f "$here/java/pom.xml" "-Dkafka=$version" dependency:copy-dependencies \
            "-DoutputDirectory=$to/java-$version" || return
    done
    # The old client's API is part of the new one's.
    javac -nowarn -d "$to/java-classes" -cp "$to/java-2.4.0/*" "$here/java/Driver.java"
}

install_programs() {
    mvn -q -B -f "$here/java/programs/pom.xml" dependency:copy-dependencies \
        "-DoutputDirectory=$to/java-programs" &&
        javac -nowarn -d "$to/java-classes" -cp "$to/java-programs/*" "$here/java/programs/WordCount.java"
}

install_node() {
    cp "$here/node/package.json" "$here/node/package-lock.json" "$to" &&
        (cd "$to" && npm ci --no-audit --no-fund)
}

# Debian's Go is older than what the clients ask for. The toolchain is itself a Go module; an old Go can
# fetch and verify it, but does not make its programs executable.
find_go() {
    newest=$(printf '%s\n' "$(go env GOVERSION)" "go$go_version" | sort -V | tail -1)
    if [ "$newest" != "go$go_version" ] || [ "$(go env GOVERSION)" = "go$go_version" ]; then
        echo go
        return
    fi
    toolchain=golang.org/toolchain@v0.0.1-go$go_version.$(go env GOOS)-$(go env GOARCH)
    (cd "$to" && { [ -f go.mod ] || go mod init toolchain; } && go mod download "$toolchain") >&2 || return
    root=$(go env GOMODCACHE)/$toolchain
    chmod -R u+w "$root/bin" "$root/pkg/tool" && chmod +x "$root"/bin/* "$root"/pkg/tool/*/* || return
    echo "$root/bin/go"
}

# Also the own tests of franz-go, amqp091-go and rabbit-hole, out of their modules.
install_go() (
    go=$(find_go) || return
    go="env -u GOROOT GOTOOLCHAIN=local GOFLAGS=-buildvcs=false $go"
    (cd "$here/go" && $go build -o "$to/go-driver" .) || return
    cache=$($go env GOMODCACHE)
    franz=github.com/twmb/franz-go@v1.21.0
    $go mod download "$franz" && (cd "$cache/$franz" && $go test -c -o "$to/kgo.test" ./pkg/kgo) || return
    amqp=github.com/rabbitmq/amqp091-go@v1.10.0
    $go mod download "$amqp" && cd "$cache/$amqp" && $go test -c -tags integration -o "$to/amqp091.test" . || return
    hole=github.com/michaelklishin/rabbit-hole/v3@v3.2.0
    $go mod download "$hole" && cd "$cache/$hole" && $go test -c -o "$to/rabbit-hole.test" .
)

# One script out of Debian's package, which is not installed.
install_rabbitmqadmin() (
    cd "$to" && apt-get download rabbitmq-server && dpkg -x rabbitmq-server_*.deb rabbitmq-server &&
        cp "$(find rabbitmq-server -path '*cli/rabbitmqadmin' | head -1)" rabbitmqadmin &&
        rm -r rabbitmq-server rabbitmq-server_*.deb
)

install_spring() {
    mvn -q -B -f "$here/spring/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$to/spring" &&
        javac -parameters -nowarn -d "$to/spring-classes" -cp "$to/spring/*" "$here/spring/SpringDriver.java"
}

install_rust() {
    cargo build --quiet --locked --manifest-path "$here/amqp/lapin/Cargo.toml" --target-dir "$to/rust"
}

# Celery's and kombu's own tests are in their source distributions, and want a Python of their own.
install_celery() {
    packages=$(grep -E '^(celery|kombu)' "$here/celery-requirements.txt" | sed 's/\[.*\]//')
    python3 -m venv "$to/celery" &&
        "$to/celery/bin/pip" install -q --disable-pip-version-check -r "$here/celery-requirements.txt" &&
        # shellcheck disable=SC2086
        "$to/celery/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary :all: -d "$to" $packages &&
        for package in celery kombu; do tar -xzf "$to/$package"-*.tar.gz -C "$to" || return; done
}

part java "$here/java/pom.xml" "$here/java/Driver.java"
part programs "$here/java/programs/pom.xml" "$here/java/programs/WordCount.java"
part node "$here/node/package.json" "$here/node/package-lock.json"
part go "$here"/go/*.go "$here/go/go.mod" "$here/go/go.sum"
part spring "$here/spring/pom.xml" "$here/spring/SpringDriver.java"
part rust "$here/amqp/lapin/src/main.rs" "$here/amqp/lapin/Cargo.toml" "$here/amqp/lapin/Cargo.lock"
part celery "$here/celery-requirements.txt"
part rabbitmqadmin /dev/null
exit "$failed"
