;; Says that it is nobody.
;;; describe
(call $about (i32.const 16) (i32.const 0) (i32.const 0))
