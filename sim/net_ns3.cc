// SPDX-License-Identifier: LGPL-2.1-or-later
// Hosts, links, queues and TCP of ns-3 behind sim/net.h. As thin as can be: connections, bytes and
// time; nothing of ns-3 is seen above it.
//
// The clock of src/sim has the timers of the hosts; one event of ns-3, the alarm, stands for the
// first of them. Whatever ns-3 calls moves that clock first (Enter).
#include "cubic_reno.h"
#include <ns3/core-module.h>
#include <ns3/internet-module.h>
#include <ns3/network-module.h>
#include <ns3/point-to-point-module.h>
#include <ns3/traffic-control-module.h>
// after those of ns-3, which has a constant of the name of one of our macros
extern "C" {
#include "base/err.h"
#include "net_ns3.h"
}

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

using namespace ns3;

namespace
{

constexpr uint16_t Port = 3260;
constexpr uint32_t IpHeader = 20, TcpHeader = 32; // with time stamps
// A frame of the point-to-point device has 2 bytes of PPP; one of Ethernet takes 38 on the wire:
// preamble, header, checksum, gap.
constexpr uint32_t PppHeader = 2, MoreFraming = 38 - PppHeader;

// What TCP of Linux does; ns-3 has others.
const Time MinRto = MilliSeconds(200), DelayedAck = MilliSeconds(40), SynTimeout = Seconds(1);
constexpr uint32_t DataRetries = 15;

// One direction of a host's link.
struct Line {
    uint64_t bps = 0;
    sim_link_stats stats = {};

    void Sent(Ptr<const Packet> p)
    {
        uint64_t bytes = p->GetSize() + MoreFraming;
        stats.bytes += bytes;
        stats.packets++;
        stats.busy_ns += static_cast<uint64_t>(bytes * 8e9 / bps);
    }

    void Lost(Ptr<const Packet>)
    {
        stats.lost++;
    }

    void Dropped(Ptr<const QueueDiscItem>)
    {
        stats.lost++;
    }
};

struct Link {
    Line out, in; // seen from the host
};

} // namespace

struct sim_sock {
    sim_net *net;
    Ptr<Socket> socket;
    const sim_sock_ops *ops;
    void *ctx;
    EventId kick;      // room is told later, never from inside send()
    bool full = false; // send() took less than it was given
    bool closed = false;
};

struct sim_net {
    const sim_net_config *cfg;
    sim_clock *clock;
    NodeContainer hosts, middle; // middle: the switch
    std::vector<std::unique_ptr<Link>> links;
    std::vector<Ipv4Address> addresses;
    std::unordered_map<uint32_t, uint32_t> hostOf; // by address
    std::vector<std::unique_ptr<sim_sock>> socks;
    Ptr<Socket> listening;
    EventId alarm;
    bool stopped = false;
};

namespace
{

void Enter(sim_net *n)
{
    sim_clock_move(n->clock, Simulator::Now().GetNanoSeconds());
}

// ---- timers of the hosts ----

void Alarm(sim_net *n);

void Arm(void *ctx)
{
    auto n = static_cast<sim_net *>(ctx);
    uint64_t next = sim_clock_next(n->clock), now = Simulator::Now().GetNanoSeconds();
    n->alarm.Cancel();
    if (next != TIME_NEVER)
        n->alarm = Simulator::Schedule(NanoSeconds(next - now), &Alarm, n);
}

void Alarm(sim_net *n)
{
    Enter(n);
    while (!n->stopped && sim_clock_fire(n->clock))
        ;
    if (!n->stopped)
        Arm(n);
}

// ---- sockets ----

// ns-3 tells of room from inside Send() and after every acknowledgement. It is passed on when
// somebody waits for it, once, and from a clean stack.
void OnRoom(sim_sock *s)
{
    if (!s->full || s->closed || s->kick.IsRunning())
        return;
    s->kick = Simulator::ScheduleNow([s] {
        Enter(s->net);
        s->full = false;
        s->ops->writable(s->ctx, s);
    });
}

void OnData(sim_sock *s)
{
    Enter(s->net);
    if (!s->closed)
        s->ops->readable(s->ctx, s);
}

void OnDown(sim_sock *s, int err)
{
    Enter(s->net);
    s->kick.Cancel();
    if (!s->closed)
        s->ops->down(s->ctx, s, err);
}

sim_sock *NewSock(sim_net *n, Ptr<Socket> socket, const sim_sock_ops *ops, void *ctx)
{
    n->socks.push_back(std::make_unique<sim_sock>());
    sim_sock *s = n->socks.back().get();
    s->net = n;
    s->socket = socket;
    s->ops = ops;
    s->ctx = ctx;
    socket->SetRecvCallback([s](Ptr<Socket>) { OnData(s); });
    socket->SetSendCallback([s](Ptr<Socket>, uint32_t) { OnRoom(s); });
    socket->SetCloseCallbacks([s](Ptr<Socket>) { OnDown(s, 0); },
                              [s](Ptr<Socket>) { OnDown(s, USAN_ETIMEOUT); });
    return s;
}

// ---- the network ----

// Before the first object is made: these are defaults of whole classes.
void SetDefaults(const sim_net_config *cfg)
{
    bool reno = std::string(cfg->tcp) == "reno";
    TypeId control = reno ? TcpLinuxReno::GetTypeId() : CubicReno::GetTypeId();
    UintegerValue window(cfg->window_bytes);
    Config::SetDefault("ns3::TcpL4Protocol::SocketType", TypeIdValue(control));
    Config::SetDefault("ns3::TcpSocket::SegmentSize",
                       UintegerValue(cfg->mtu_bytes - IpHeader - TcpHeader));
    Config::SetDefault("ns3::TcpSocket::SndBufSize", window);
    Config::SetDefault("ns3::TcpSocket::RcvBufSize", window);
    Config::SetDefault("ns3::TcpSocket::DelAckTimeout", TimeValue(DelayedAck));
    Config::SetDefault("ns3::TcpSocket::ConnTimeout", TimeValue(SynTimeout));
    Config::SetDefault("ns3::TcpSocket::DataRetries", UintegerValue(DataRetries));
    Config::SetDefault("ns3::TcpSocketBase::MinRto", TimeValue(MinRto));
    Config::SetDefault("ns3::PcapFileWrapper::NanosecMode", BooleanValue(true));
    RngSeedManager::SetSeed(1); // 0 is none
    RngSeedManager::SetRun(cfg->seed);
}

struct Cable {
    uint64_t bps, delayNs;
    bool loses;
};

// From host `index` to the node at the other end.
NetDeviceContainer MakeLink(sim_net *n, uint32_t index, Ptr<Node> far, const Cable &cable)
{
    PointToPointHelper p2p;
    p2p.SetDeviceAttribute("DataRate", DataRateValue(DataRate(cable.bps)));
    p2p.SetDeviceAttribute("Mtu", UintegerValue(n->cfg->mtu_bytes));
    p2p.SetDeviceAttribute("InterframeGap", TimeValue(NanoSeconds(MoreFraming * 8e9 / cable.bps)));
    p2p.SetChannelAttribute("Delay", TimeValue(NanoSeconds(cable.delayNs)));
    p2p.SetQueue("ns3::DropTailQueue", "MaxSize", QueueSizeValue(QueueSize("2p")));
    NetDeviceContainer devices = p2p.Install(n->hosts.Get(index), far);

    // A plain queue; without one ns-3 puts FqCoDel there.
    TrafficControlHelper tc;
    QueueSize limit(QueueSizeUnit::PACKETS, n->cfg->queue_packets);
    tc.SetRootQueueDisc("ns3::FifoQueueDisc", "MaxSize", QueueSizeValue(limit));
    QueueDiscContainer queues = tc.Install(devices);

    n->links.push_back(std::make_unique<Link>());
    Line *lines[2] = { &n->links.back()->out, &n->links.back()->in };
    for (uint32_t i = 0; i < 2; i++) {
        lines[i]->bps = cable.bps;
        devices.Get(i)->TraceConnectWithoutContext("PhyTxBegin",
                                                   MakeCallback(&Line::Sent, lines[i]));
        devices.Get(i)->TraceConnectWithoutContext("PhyRxDrop",
                                                   MakeCallback(&Line::Lost, lines[!i]));
        queues.Get(i)->TraceConnectWithoutContext("Drop", MakeCallback(&Line::Dropped, lines[i]));
        if (!cable.loses)
            continue;
        auto model = CreateObject<RateErrorModel>();
        model->SetUnit(RateErrorModel::ERROR_UNIT_PACKET); // else it is bytes
        model->SetRate(n->cfg->loss);
        model->AssignStreams(100 + 2 * index + i); // fixed: no object shifts the draws of others
        devices.Get(i)->SetAttribute("ReceiveErrorModel", PointerValue(model));
    }
    if (index == 0 && n->cfg->pcap)
        p2p.EnablePcap(n->cfg->pcap, devices.Get(0), false, true);
    return devices;
}

Ipv4InterfaceContainer Assign(uint32_t index, const NetDeviceContainer &devices)
{
    // a network of four addresses for each link, from 10.0.0.0 on
    Ipv4AddressHelper helper(Ipv4Address(0x0a000000u + 4 * index), "255.255.255.252");
    return helper.Assign(devices);
}

void SetAddress(sim_net *n, uint32_t index, Ipv4Address address)
{
    n->addresses[index] = address;
    n->hostOf[address.Get()] = index;
}

void MakeDirect(sim_net *n)
{
    const sim_net_config *cfg = n->cfg;
    auto devices = MakeLink(n, 0, n->hosts.Get(1), { cfg->rate_bps, cfg->delay_ns, cfg->loss > 0 });
    auto interfaces = Assign(0, devices);
    SetAddress(n, 0, interfaces.GetAddress(0));
    SetAddress(n, 1, interfaces.GetAddress(1));
}

// A switch is a node that forwards, as the shared medium of ns-3 is half duplex. Packets get lost
// on the links of initiators.
void MakeStar(sim_net *n)
{
    const sim_net_config *cfg = n->cfg;
    Ipv4StaticRoutingHelper routing;
    for (uint32_t i = 0; i < cfg->hosts; i++) {
        uint64_t half = i ? cfg->delay_ns / 2 : cfg->delay_ns - cfg->delay_ns / 2;
        auto devices = MakeLink(n, i, n->middle.Get(0),
                                { i ? cfg->rate_bps : cfg->trunk_bps, half, i && cfg->loss > 0 });
        auto interfaces = Assign(i, devices);
        SetAddress(n, i, interfaces.GetAddress(0));
        routing.GetStaticRouting(n->hosts.Get(i)->GetObject<Ipv4>())
            ->SetDefaultRoute(interfaces.GetAddress(1), 1);
    }
}

int Ns3Open(const sim_net_config *cfg, sim_clock *clock, sim_net **ret, err_text *)
{
    SetDefaults(cfg);
    auto n = new sim_net;
    n->cfg = cfg;
    n->clock = clock;
    n->hosts.Create(cfg->hosts);
    n->middle.Create(cfg->hosts > 2 ? 1 : 0);
    n->addresses.resize(cfg->hosts);
    InternetStackHelper stack;
    Ipv4StaticRoutingHelper routing;
    stack.SetIpv6StackInstall(false);
    stack.SetRoutingHelper(routing);
    stack.Install(n->hosts);
    stack.Install(n->middle);
    if (cfg->hosts > 2)
        MakeStar(n);
    else
        MakeDirect(n);
    clock->earlier = Arm;
    clock->ctx = n;
    *ret = n;
    return 0;
}

void Ns3Close(sim_net *n)
{
    if (!n)
        return;
    n->clock->earlier = nullptr;
    Simulator::Destroy();
    delete n;
}

void Ns3Run(sim_net *n)
{
    Simulator::Run();
    n->stopped = true;
}

void Ns3Stop(sim_net *n)
{
    n->stopped = true;
    Simulator::Stop();
}

uint64_t Ns3Events(sim_net *)
{
    return Simulator::GetEventCount();
}

void Accepted(sim_net *n, const sim_listener *l, Ptr<Socket> socket, const Address &from)
{
    Enter(n);
    auto peer = InetSocketAddress::ConvertFrom(from).GetIpv4();
    sim_sock *s = NewSock(n, socket, l->ops, nullptr);
    s->ctx = l->accept(l->ctx, s, n->hostOf[peer.Get()]);
    if (s->ctx)
        s->ops->up(s->ctx, s);
    else
        sim_world_ns3.close_sock(s);
}

void Ns3Listen(sim_net *n, const sim_listener *l)
{
    n->listening = Socket::CreateSocket(n->hosts.Get(0), TcpSocketFactory::GetTypeId());
    n->listening->Bind(InetSocketAddress(Ipv4Address::GetAny(), Port));
    n->listening->Listen();
    n->listening->SetAcceptCallback(
        [](Ptr<Socket>, const Address &) { return true; },
        [n, l](Ptr<Socket> s, const Address &from) { Accepted(n, l, s, from); });
}

sim_sock *Ns3Connect(sim_net *n, uint32_t host, const sim_sock_ops *ops, void *ctx)
{
    auto socket = Socket::CreateSocket(n->hosts.Get(host), TcpSocketFactory::GetTypeId());
    socket->Bind();
    sim_sock *s = NewSock(n, socket, ops, ctx);
    // told from inside ns-3's input path, so pass it on from a clean stack
    socket->SetConnectCallback(
        [s](Ptr<Socket>) {
            Simulator::ScheduleNow([s] {
                Enter(s->net);
                if (!s->closed)
                    s->ops->up(s->ctx, s);
            });
        },
        [s](Ptr<Socket>) { OnDown(s, USAN_ETIMEOUT); });
    socket->Connect(InetSocketAddress(n->addresses[0], Port));
    return s;
}

size_t Ns3Send(sim_sock *s, const iovec *iov, int iovcnt)
{
    size_t taken = 0;
    for (int i = 0; i < iovcnt && !s->full; i++) {
        // more than there is room for is refused whole
        size_t n = std::min<size_t>(iov[i].iov_len, s->socket->GetTxAvailable());
        int r = n ? s->socket->Send(static_cast<const uint8_t *>(iov[i].iov_base), n, 0) : 0;
        if (r > 0)
            taken += r;
        s->full = r < 0 || static_cast<size_t>(r) < iov[i].iov_len;
    }
    return taken;
}

size_t Ns3Recv(sim_sock *s, const iovec *iov, int iovcnt)
{
    size_t got = 0;
    for (int i = 0; i < iovcnt && s->socket->GetRxAvailable(); i++) {
        int r = s->socket->Recv(static_cast<uint8_t *>(iov[i].iov_base), iov[i].iov_len, 0);
        if (r <= 0)
            break;
        got += r;
    }
    return got;
}

void Ns3CloseSock(sim_sock *s)
{
    s->closed = true;
    s->kick.Cancel();
    s->socket->Close(); // sends what is left; the object stays until the end
}

void Ns3LinkStats(sim_net *n, uint32_t host, bool out, sim_link_stats *ret)
{
    // between two hosts there is one link, the target's
    bool direct = n->cfg->hosts == 2;
    const Link &l = *n->links[direct ? 0 : host];
    *ret = out != (direct && host == 1) ? l.out.stats : l.in.stats;
}

} // namespace

extern "C" const sim_world sim_world_ns3 = {
    "ns3",     Ns3Open,    Ns3Close, Ns3Run,  Ns3Stop,      Ns3Events,
    Ns3Listen, Ns3Connect, Ns3Send,  Ns3Recv, Ns3CloseSock, Ns3LinkStats,
};
