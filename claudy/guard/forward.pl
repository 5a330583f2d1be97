# Runs in the sandbox: carries 127.0.0.1:PORT (and [::1]:PORT) on to ADDRESS:PORT.
#
# Standard input, from the guard; its end is the end of this process and of all connections:
#   +PORT ADDRESS[:OTHER]   carry this port; answered with "PORT listening" or "PORT busy"
#   -PORT                   no longer; connections that stand go on
# Everything is non-blocking, in one process. Needs what Debian calls perl-base alone.
use strict;
use warnings;
use Errno;
use IO::Handle;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY pack_sockaddr_in6 IN6ADDR_LOOPBACK);

my $BLOCK = 65536;      # bytes that are held for a side that does not take them
my $commands = '';
my %listening;          # PORT => [target, socket...]
my %ends;               # descriptor => one end of a connection
$0 = 'claudy-forward';
$SIG{PIPE} = 'IGNORE';
answer('ready');

while (1) {
    my ($read, $write) = ('', '');
    vec($read, fileno STDIN, 1) = 1;
    for my $port (values %listening) {
        vec($read, fileno $_, 1) = 1 for @$port[1 .. $#$port];
    }
    for my $end (values %ends) {
        my $number = fileno $end->{socket};
        my $wants = !$end->{connecting} && !$end->{ended} && length $end->{peer}{held} < $BLOCK;
        vec($read, $number, 1) = 1 if $wants;
        vec($write, $number, 1) = 1 if $end->{connecting} || length $end->{held};
    }
    next if select($read, $write, undef, undef) < 0;
    for my $end (values %{{%ends}}) {
        next unless $end->{peer};       # dropped a moment ago
        my $number = fileno $end->{socket};
        if (vec($write, $number, 1)) { $end->{connecting} ? connected($end) : give($end) }
        take($end) if $end->{peer} && vec($read, $number, 1);
    }
    for my $port (values %listening) {
        my ($target, @sockets) = @$port;
        vec($read, fileno $_, 1) && meet($_, $target) for @sockets;
    }
    obey() if vec($read, fileno STDIN, 1);
}

sub answer {
    defined syswrite(STDOUT, "$_[0]\n") or exit;
}

sub obey {
    sysread(STDIN, $commands, 4096, length $commands) or exit;
    while ($commands =~ s/^(.)(\d+) ?([\d.]*):?(\d*)\n//) {
        my ($what, $port, $address, $other) = ($1, $2, $3, $4 || $2);
        my $old = delete $listening{$port};
        close $_ for $old ? @$old[1 .. $#$old] : ();
        answer("$port " . (carry($port, $address, $other) ? 'listening' : 'busy')) if $what eq '+';
    }
}

sub carry {
    my ($port, $address, $other) = @_;
    my $four = listener(PF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)) or return 0;
    my $six = listener(PF_INET6, pack_sockaddr_in6($port, IN6ADDR_LOOPBACK));
    my $target = pack_sockaddr_in($other, inet_aton($address));
    $listening{$port} = [$target, $four, $six || ()];
    return 1;
}

sub listener {
    my ($family, $address) = @_;
    socket(my $socket, $family, SOCK_STREAM, 0) or return;
    setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($socket, $address) && listen($socket, SOMAXCONN) or return;
    $socket->blocking(0);
    return $socket;
}

sub meet {
    my ($listener, $target) = @_;
    my $client;
    if (!accept($client, $listener)) {
        # Out of descriptors: the others wait in the backlog.
        select(undef, undef, undef, 0.1) if $!{EMFILE} || $!{ENFILE};
        return;
    }
    socket(my $server, PF_INET, SOCK_STREAM, 0) or return;
    for my $socket ($client, $server) {
        $socket->blocking(0);
        setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    connect($server, $target) || $!{EINPROGRESS} or return;
    my $near = {socket => $client, held => ''};
    my $far = {socket => $server, held => '', connecting => 1, peer => $near};
    $near->{peer} = $far;
    $ends{fileno $_->{socket}} = $_ for $near, $far;
}

sub connected {
    my ($end) = @_;
    my $error = unpack 'i', getsockopt($end->{socket}, SOL_SOCKET, SO_ERROR);
    return drop($end) if $error;
    $end->{connecting} = 0;
    give($end);
}

sub take {
    my ($end) = @_;
    my $peer = $end->{peer};
    my $count = sysread($end->{socket}, $peer->{held}, $BLOCK, length $peer->{held});
    return $!{EAGAIN} || $!{EINTR} || drop($end) unless defined $count;
    $end->{ended} = 1 unless $count;
    give($peer) unless $peer->{connecting};
}

sub give {
    my ($end) = @_;
    while (length $end->{held}) {
        my $count = syswrite($end->{socket}, $end->{held});
        return $!{EAGAIN} || $!{EINTR} || drop($end) unless defined $count;
        substr($end->{held}, 0, $count, '');
    }
    return unless $end->{peer}{ended} && !$end->{shut};
    shutdown($end->{socket}, 1);
    $end->{shut} = 1;
    drop($end) if $end->{peer}{shut};
}

sub drop {
    my @pair = ($_[0], $_[0]{peer});
    for my $end (@pair) {
        delete $ends{fileno $end->{socket}};
        close $end->{socket};
        delete $end->{peer};
    }
}
