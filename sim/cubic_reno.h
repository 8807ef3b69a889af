// SPDX-License-Identifier: LGPL-2.1-or-later
// CUBIC as RFC 9438 has it. That of ns-3 up to 3.40 leaves out the region in which CUBIC is to be
// no slower than Reno (section 4.3): with losses at the round-trip times of a storage network it
// falls behind what Linux does by a factor. ns-3 lets a program bring congestion controls of its
// own.
#ifndef USAN_SIM_CUBIC_RENO_H
#define USAN_SIM_CUBIC_RENO_H

#include <ns3/tcp-cubic.h>
#include <ns3/tcp-socket-state.h>

class CubicReno : public ns3::TcpCubic
{
  public:
    static ns3::TypeId GetTypeId()
    {
        static ns3::TypeId id =
            ns3::TypeId("CubicReno").SetParent<ns3::TcpCubic>().AddConstructor<CubicReno>();
        return id;
    }

    std::string GetName() const override
    {
        return "CubicReno";
    }

    uint32_t GetSsThresh(ns3::Ptr<const ns3::TcpSocketState> tcb, uint32_t in_flight) override
    {
        uint32_t threshold = ns3::TcpCubic::GetSsThresh(tcb, in_flight);
        reno_ = threshold;
        return threshold;
    }

    void IncreaseWindow(ns3::Ptr<ns3::TcpSocketState> tcb, uint32_t acked) override
    {
        ns3::TcpCubic::IncreaseWindow(tcb, acked);
        double window = tcb->m_cWnd, segment = tcb->m_segmentSize;
        if (window < tcb->m_ssThresh)
            return; // slow start
        if (reno_ == 0)
            reno_ = window;
        // alpha = 3 (1 - beta) / (1 + beta) segments a round trip, with beta = 0.7
        reno_ += 9.0 / 17.0 * acked * segment * segment / window;
        if (reno_ > window)
            tcb->m_cWnd = static_cast<uint32_t>(reno_);
    }

    ns3::Ptr<ns3::TcpCongestionOps> Fork() override
    {
        return ns3::CopyObject<CubicReno>(this);
    }

  private:
    double reno_ = 0; // the window Reno would have, in bytes
};

#endif
