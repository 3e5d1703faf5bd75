package app

import (
	"context"
	"strings"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/notify"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// NoticePortal is where links of notices lead.
func NoticePortal(conf *config.Config) notice.Portal {
	return notice.Portal{URL: strings.TrimRight(conf.API.PortalURL, "/"), Product: conf.Portal.Theme().Title()}
}

// noticeSender returns what sends notices; the roles of a process share it.
func (a *App) noticeSender() (*notify.Sender, error) {
	if a.notify != nil {
		return a.notify, nil
	}
	// Chats are tenants' as endpoints are: they have their guard.
	transport, err := egress.New(EgressConfig(a.conf))
	if err != nil {
		return nil, err
	}
	a.notify, err = notify.New(notify.Options{
		SMTP: notify.SMTP(a.conf.Notices.SMTP), Transport: transport, UserAgent: a.conf.Egress.UserAgent,
	})
	return a.notify, err
}

// withNotices returns a handler of the operational topic with the noticer beside it:
//
//	registry, Redis: how endpoints do ──▶ what is wrong and was not told ──▶ SMTP, chats
//	                 Redis: what tenants were told ◀──┘
//
// Without Redis there is none.
func (a *App) withNotices(ctx context.Context, h kafka.Handler) (kafka.Handler, error) {
	if a.opts.Views == nil {
		return h, nil
	}
	sender, err := a.noticeSender()
	if err != nil {
		return nil, err
	}
	view, err := a.SecretView(ctx)
	if err != nil {
		return nil, err
	}
	partitions, err := kafka.Partitions(ctx, a.conf.Kafka, a.topics.Name(topics.Operational))
	if err != nil {
		return nil, err
	}
	c := a.conf.Notices
	return pipeline.NewNoticer(pipeline.NoticerOptions{
		Timing: notice.Timing{Gather: c.Gather, Every: c.Every}, Portal: NoticePortal(a.conf), Partitions: partitions,
		Log: a.opts.Log, Metrics: a.metrics,
	}, view, a.opts.Views, a.opts.Views, sender).Beside(h), nil
}
